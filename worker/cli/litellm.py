from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from spend.amounts import dollars
from spend.errors import BadInputError
from worker.cli.output import moment, print_json, print_table
from worker.cli.progress import progress
from worker.database import engine, transaction
from worker.settings import settings

if TYPE_CHECKING:
    from spend.litellm.sync import SyncResult

_FULL = 1000


@click.group
def litellm() -> None:
    """Requests from LiteLLM's own database."""


@litellm.command
@click.option(
    "--database", metavar="URL", help="The proxy's Postgres. Default: LITELLM_DATABASE_URL."
)
@click.option("--since", help="Read again from this date or time on, UTC unless it has an offset.")
@click.option("--overlap", type=click.FloatRange(0, 24 * 90), metavar="HOURS", help="Default: 48.")
@click.option("--batch", default=2_000, show_default=True, help="Rows per page.")
@click.option("--dry-run", is_flag=True, help="Read everything, book nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def sync(
    *,
    database: str | None,
    since: str | None,
    overlap: float | None,
    batch: int,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Book what is new in LiteLLM's database, and correct what was rewritten there.

    Reads LiteLLM_SpendLogs on from where the last run ended, and again the hours before that
    (--overlap): long calls arrive with an old time, and a batch settles from 0 to its price later.
    The first run reads everything. A request that came by another route too counts once. Nothing
    is written there: each transaction is read-only. Where spend logs are off, the daily tables are
    read instead, and the output says so.

    \b
    Examples:
      spendbeat litellm sync --database postgresql://reader@db/litellm
      spendbeat litellm sync --since 2026-11-01 --dry-run --json

    Stopped at any moment, the next run goes on; two at a time do no harm. Exit code 1 where the
    database cannot be read; what was booked before that stays.
    """
    from spend.capture.desk import Desk  # noqa: PLC0415 - slow to import
    from spend.litellm.source import Source  # noqa: PLC0415 - slow to import
    from spend.litellm.sync import Options  # noqa: PLC0415 - slow to import
    from spend.litellm.sync import sync as run  # noqa: PLC0415 - slow to import

    chosen = settings()
    if batch < 1:
        raise click.BadParameter("must be at least 1", param_hint="--batch")
    url = database or chosen.litellm_database_url
    if url is None:
        raise BadInputError(
            "Name LiteLLM's database: set LITELLM_DATABASE_URL to the DATABASE_URL of the proxy, or"
            " use --database."
        )
    hours = chosen.litellm_overlap_hours if overlap is None else overlap
    options = Options(
        since=moment(since, "UTC") if since else None,
        overlap=timedelta(hours=hours),
        batch=batch,
        dry_run=dry_run,
        daily=chosen.litellm_daily,
    )
    source = Source(url)
    try:
        with _bar() as show:
            result = run(engine(), Desk(engine()), source, options, show)
    finally:
        source.close()
    _report(source.name, result, dry_run=dry_run, as_json=as_json)


@contextmanager
def _bar() -> "Iterator[Callable[[SyncResult], None]]":
    """A bar as full as the time from the first row to now is read."""
    reached: list[float] = []

    def position() -> int:
        whole = datetime.now(UTC).timestamp() - reached[0] if reached else 0.0
        return int(_FULL * (reached[-1] - reached[0]) / whole) if whole > 0 else 0

    with progress("Reading", _FULL, position) as draw:

        def tell(result: "SyncResult") -> None:
            if result.reached is not None:
                reached.append(result.reached.timestamp())
                del reached[1:-1]
            draw(result)

        yield tell


def _report(name: str, result: "SyncResult", *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json({"source": name, **asdict(result), "dry_run": dry_run})
        return
    verb = "would be booked" if dry_run else "booked"
    click.echo(
        f"{name}: {result.read:,} rows read, {result.rows:,} {verb}, {result.known:,} already"
        f" known, {result.settled:,} corrected by ${dollars(result.delta)},"
        f" {result.conflicts:,} conflicts, {result.rejected:,} rejected,"
        f" {result.unpriced:,} unpriced  ({result.seconds:.1f} s)"
    )
    if result.reason:
        click.echo(f"Rejected, for example: {result.reason}")
    for note in result.notes:
        click.echo(f"Note: {note}")


@litellm.command
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(*, as_json: bool) -> None:
    """How far each of LiteLLM's databases is read, and what was wrong with the last run.

    \b
    Example:
      spendbeat litellm status --json
    """
    from spend.litellm import state  # noqa: PLC0415 - slow to import

    with transaction("spendbeat_reader") as session:
        found = state.status(session)
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("No database of LiteLLM's was read yet; 'spendbeat litellm sync' reads one.")
        return
    print_table(
        ["database", "reads", "caught up", "rows", "corrected", "rejected", "read to"],
        [
            (
                row["name"],
                "daily tables" if row["mode"] == "daily" else "spend logs",
                _ago(row["lag"]),
                f"{row['rows_total']:,}",
                f"{row['settled_total']:,}",
                f"{row['rejected_total']:,}",
                "" if row["read_to"] is None else f"{row['read_to']:%Y-%m-%d %H:%M:%S}",
            )
            for row in found
        ],
        numbers=["rows", "corrected", "rejected"],
    )
    for row in found:
        if row["error"]:
            click.echo(f"{row['name']}: the last run ended early: {row['error']}")
        if row["mode"] == "daily":
            click.echo(f"{row['name']}: one request stands for all of a day, key and model.")


def _ago(seconds: object) -> str:
    return "never" if seconds is None else f"{float(str(seconds)):,.0f} s ago"


commands = {"litellm": litellm}
