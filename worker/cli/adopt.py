"""The command that brings an existing table into the ledger."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path

import click
from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import ArgumentError, OperationalError

from spend.capture.adopt import aside, books, shape
from spend.capture.adopt.rows import Rows
from spend.capture.adopt.run import run
from spend.capture.adopt.shape import Table
from spend.capture.mapping import Columns
from spend.capture.pipeline import BATCH_ROWS
from spend.capture.rejects import Rejects
from spend.errors import BadInputError, BusyError, UnavailableError
from worker import schema
from worker.cli.adopt_report import as_dict, report
from worker.cli.options import pairs
from worker.cli.output import print_json, zone_named
from worker.cli.progress import progress
from worker.database import engine, make_engine, transaction
from worker.settings import settings

_LOCK = "x'5BEA70005'::bigint"
_OLD = f"public.cost_logs{aside.SUFFIX}"
_OLD_SUMMARY = f"public.spend_summary{aside.SUFFIX}"


@dataclass(frozen=True)
class Wish:
    """What the command line asked for."""

    maps: dict[str, str]
    constants: dict[str, str]
    missing: dict[str, str]
    zone: tzinfo | None
    rejects: str | None
    batch: int
    dry_run: bool
    as_json: bool


@click.command
@click.option("--from", "url", metavar="URL", help="Another database that has the table.")
@click.option("--table", "name", help="A table elsewhere, with its schema unless it is public.")
@click.option("--name", "label", help="Of that table, in ids. Default: DATABASE.SCHEMA.TABLE.")
@click.option("--map", "maps", multiple=True, metavar="FIELD=COLUMN", help="Where a field is.")
@click.option("--set", "sets", multiple=True, metavar="FIELD=VALUE", help="The same in all rows.")
@click.option("--if-missing", "missing", multiple=True, metavar="FIELD=VALUE",
              help="Where the column is NULL or empty.")  # fmt: skip
@click.option("--timezone", metavar="ZONE", help="Of times without an offset, such as UTC.")
@click.option("--rejects", metavar="PATH", help="Default: TABLE.rejects.csv in this folder.")
@click.option("--batch", default=BATCH_ROWS, show_default=True, help="Rows per transaction.")
@click.option("--dry-run", is_flag=True, help="Look at everything, change nothing.")
@click.option("--undo", is_flag=True, help="Go back to the old table.")
@click.option("--yes", is_flag=True, help="Do not ask (with --undo).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; money as text.")
def adopt(
    *,
    url: str | None,
    name: str | None,
    label: str | None,
    maps: Sequence[str],
    sets: Sequence[str],
    missing: Sequence[str],
    timezone: str | None,
    rejects: str | None,
    batch: int,
    dry_run: bool,
    undo: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Take over an existing table such as cost_logs (id, provider, model, cost_usd, created_at).

    Without --from and --table that is cost_logs of this database: it and spend_summary are
    renamed to cost_logs_adopted and spend_summary_adopted, the schema is made, and the rows are
    booked. A table elsewhere is only read. Run it again after it was killed, or to catch up with
    rows that came since: a row is known by its id and booked once. At the end the sums of the
    table and of what is booked are compared to the last digit.

    \b
    Examples:
      spendbeat ledger adopt --dry-run
      spendbeat ledger adopt --timezone UTC
      spendbeat ledger adopt --from postgresql://reader@db/app --table billing.llm_calls \\
        --map cost_usd=price --map started_at=at --if-missing provider=unknown
      spendbeat ledger adopt --undo

    Exit code 0 if every row is booked or named with its reason, 1 otherwise.
    """
    if batch < 1:
        raise click.BadParameter("must be at least 1", param_hint="--batch")
    wish = Wish(
        pairs(maps, "--map"),
        pairs(sets, "--set"),
        pairs(missing, "--if-missing"),
        zone_named(timezone) if timezone else None,
        rejects,
        batch,
        dry_run,
        as_json,
    )
    if undo:
        _undo(yes=yes)
    elif url or name:
        _elsewhere(url, name or "cost_logs", label, wish)
    else:
        _here(wish)


def _here(wish: Wish) -> None:
    with _login() as connection:
        tables = aside.check_adoptable(connection)
        before = aside.set_aside_before(connection)
        if not tables and not before:
            raise BadInputError(
                "This database has no cost_logs or spend_summary but Spendbeat's own. For a table"
                " of another name or in another database: --table NAME, --from URL."
            )
        table = shape.look(connection, "public.cost_logs" if "cost_logs" in tables else _OLD)
        columns = None if table is None else _fitting(connection, table, wish)
        if not wish.dry_run:
            _make_room(connection, tables)
            table = shape.look(connection, _OLD)
            connection.rollback()
        if table is None or columns is None:
            click.echo("There is no cost_logs to book.")
            return
        _book(connection, table, columns, books.LOCAL, wish)


def _make_room(connection: Connection, tables: Sequence[str]) -> None:
    """Rename what is in the way and migrate; where that fails, rename it back."""
    connection.rollback()
    if tables:
        aside.set_aside(connection, tables)
    try:
        schema.upgrade(connection)
    except BaseException:
        connection.rollback()
        if tables and schema.current(connection) is None:
            connection.rollback()
            aside.put_back(connection, tables)
        raise


def _elsewhere(url: str | None, name: str, label: str | None, wish: Wish) -> None:
    with _connected(url or settings().sqlalchemy_url) as connection:
        table = shape.look(connection, name)
        if table is None:
            raise BadInputError(
                f"There is no table {name!r} there, or this login may not see it. With a schema it"
                " is SCHEMA.TABLE."
            )
        if table.owner == "spendbeat_owner":
            raise BadInputError(f"{table} is Spendbeat's own.")
        label = label or f"{connection.scalar(text('SELECT current_database()'))}.{table}"
        if ":" in label:
            raise BadInputError("A name with a colon would run together with ids; give --name.")
        columns = _fitting(connection, table, wish)
        connection.rollback()
        _book(connection, table, columns, books.prefix_of(label), wish)


def _fitting(connection: Connection, table: Table, wish: Wish) -> Columns:
    columns = shape.fit(table, wish.maps, wish.constants, wish.zone)
    shape.check_ids(connection, table, columns.sources[0] or "id")
    return columns


def _book(connection: Connection, table: Table, columns: Columns, prefix: str, wish: Wish) -> None:
    sink = Rejects(Path(wish.rejects or f"{table.name}.rejects.csv"))
    rows = Rows(connection, table, columns, prefix, wish.missing)
    total = table.rows if table.rows > 0 else None
    try:
        with progress("Adopting", total, lambda: rows.tally.rows) as on_progress:
            adopted = run(
                connection,
                None if wish.dry_run else engine(),
                rows,
                zone=wish.zone,
                batch_rows=wish.batch,
                rejects=sink,
                summary_table=_OLD_SUMMARY if prefix == books.LOCAL else None,
                on_progress=on_progress,
            )
    finally:
        sink.close()
    rejects = str(sink.path) if sink.rows else None
    if wish.as_json:
        print_json(as_dict(table, columns, adopted, rejects))
    else:
        report(table, columns, adopted, rejects)
    if adopted.balance is not None and not adopted.balance.agrees:
        sys.exit(1)


def _undo(*, yes: bool) -> None:
    with _login() as connection:
        before = aside.set_aside_before(connection)
        if not before:
            raise BadInputError("Nothing was set aside here, so there is nothing to go back to.")
        if schema.current(connection) is not None:
            connection.rollback()
            with transaction("spendbeat_reader") as session:
                if books.has_others(session):
                    raise BadInputError(
                        "The ledger holds requests that were not in the old table, or months that"
                        " were sealed. Going back would lose them; docs/capture.md says how to use"
                        " both tables."
                    )
            if not yes:
                click.confirm(
                    "Drop everything that Spendbeat keeps in this database (prices and tokens"
                    f" too), and rename {' and '.join(before)} back?",
                    abort=True,
                )
            schema.downgrade(connection, "base")
        connection.rollback()
        aside.put_back(connection, before)
    click.echo(f"{' and '.join(before)}: as before.")


@contextmanager
def _login() -> Iterator[Connection]:
    """The database as the login itself, held against a second adoption at the same time."""
    with _connected(settings().sqlalchemy_url) as connection:
        if not connection.scalar(text(f"SELECT pg_try_advisory_lock({_LOCK})")):
            raise BusyError("Somebody else adopts a table of this database right now.")
        connection.rollback()
        yield connection


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise BadInputError("--from is not a URL such as postgresql://user@host/name.") from None
    if parsed.get_backend_name() not in {"postgresql", "postgres"}:
        raise BadInputError(f"--from must start with postgresql://, not {parsed.drivername}://.")
    parsed = parsed.set(drivername="postgresql+psycopg2")
    source = make_engine(parsed.render_as_string(hide_password=False), None)
    try:
        with source.connect() as connection:
            yield connection
    except OperationalError as error:
        reason = str(error.orig).strip().splitlines()[0] if error.orig else "no answer"
        where = parsed.render_as_string(hide_password=True)
        raise UnavailableError(f"Postgres at {where} cannot be used: {reason}") from error
    finally:
        source.dispose()
