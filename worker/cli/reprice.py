import getpass
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal

import click
from rich.console import Console

from spend.amounts import dollars
from spend.errors import BadInputError
from spend.repricing import runs
from spend.repricing.preview import Day
from spend.repricing.runs import Preview, Run
from spend.repricing.scope import Portion, Scope
from spend.repricing.undo import undo
from worker.cli.output import moment, print_json, print_table, zone_named
from worker.cli.progress import progress
from worker.database import engine, transaction


@click.group(invoke_without_command=True)
@click.option("--model", help="Its requests. Letters' case does not matter.")
@click.option("--provider", help="Only this provider's. Default: every provider's.")
@click.option("--from", "since", help="Requests that began at this date or time or later.")
@click.option("--to", "until", help="Up to, not including. Default: now.")
@click.option("--known-at", help="With prices as they were known then. Default: now.")
@click.option("--timezone", default="UTC", show_default=True, help="Zone of days and times.")
@click.option("--dry-run", is_flag=True, help="Show what would change and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--by", help="Who does this, for the record. Default: the login name.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; amounts as text.")
@click.pass_context
def reprice(
    ctx: click.Context,
    *,
    model: str | None,
    provider: str | None,
    since: str | None,
    until: str | None,
    known_at: str | None,
    timezone: str,
    dry_run: bool,
    yes: bool,
    by: str | None,
    as_json: bool,
) -> None:
    """Bring booked requests to the prices that are known now, or take that back.

    Shows what changes by day, asks, and writes adjustments: the ledger's rows stay as they are.
    What a request should cost is decided as when it was booked, so a cost that came with it
    stays. Run again it finds nothing to do; interrupted, the same command goes on.

    \b
    Examples:
      spendbeat reprice --model gpt-4o --provider azure --from 2026-11-01 --dry-run
      spendbeat reprice --model gpt-4o --from 2026-11-01 --to 2026-12-01 --timezone Asia/Kolkata
      spendbeat reprice list
      spendbeat reprice undo 3
    """
    if ctx.invoked_subcommand is not None:
        if model or since:
            raise click.UsageError(f"--model and --from are not for '{ctx.invoked_subcommand}'.")
        return
    if not model or not since:
        raise click.UsageError("Say which requests: --model and --from are needed.")
    zone = zone_named(timezone)
    scope = _scope(model, provider, moment(since, timezone), until, timezone)
    known = moment(known_at, timezone) if known_at else None
    with _bar("Looking") as bar:
        plan = runs.preview(
            engine(),
            scope,
            any_end=until is None,
            known_at=known,
            zone=zone,
            begin=bar.begin,
            on_portion=bar.portion,
        )
    idle = not plan.changed and plan.resumes is None
    if not as_json:
        _show(plan)
    if dry_run or idle:
        if as_json:
            print_json(_as_dict(plan, None))
        return
    if not yes and sys.stdin.isatty():
        click.confirm("Write these adjustments?", abort=True, err=True)
    with _bar("Writing") as bar:
        bar.begin(plan.portions)
        run = runs.execute(engine(), plan, by=by or _login(), on_portion=bar.portion)
    if as_json:
        print_json(_as_dict(plan, run))
    else:
        click.echo(
            f"Repricing {run.id}: {run.rows:,} adjustments, {_signed(run.delta)} dollars. Rollups"
            f" count them with the next tick; 'spendbeat reprice undo {run.id}' takes them back."
        )


def _scope(
    model: str, provider: str | None, since: datetime, until: str | None, zone: str
) -> Scope:
    end = moment(until, zone) if until else datetime.now(UTC)
    if end <= since:
        raise BadInputError("The time must end after it begins: --to lies before --from.")
    return Scope(model.strip(), provider.strip() if provider else None, since, end)


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return "unknown"


@dataclass
class _Bar:
    """A progress bar over portions, in requests."""

    show: Callable[["_Bar"], None]
    started: float
    read: int = 0
    until: float = 0.0
    since: datetime | None = None
    span: float = 0.0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def begin(self, portions: Sequence[Portion]) -> None:
        self.since = portions[0].since
        self.span = (portions[-1].until - portions[0].since).total_seconds()

    def portion(self, done: Portion) -> None:
        self.read += done.requests
        if self.since is not None and self.span:
            self.until = (done.until - self.since).total_seconds() / self.span
        self.show(self)


@contextmanager
def _bar(title: str) -> Iterator[_Bar]:
    bar: _Bar

    def position() -> int:
        return int(bar.until * 1000)

    with progress(title, 1000, position) as show:
        bar = _Bar(show, time.monotonic())
        yield bar


def _show(plan: Preview) -> None:
    if plan.resumes is not None:
        click.echo(
            f"Repricing {plan.resumes} was interrupted; this goes on with it, with prices as they"
            f" were known at {plan.known_at:%Y-%m-%d %H:%M:%S} (UTC). What it has done is in"
            " 'before' already."
        )
    changed = [day for day in plan.days if day.changed]
    if changed:
        print_table(
            ["day", "requests", "changed", "before", "after", "delta"],
            [_row(day) for day in changed] + _total(changed),
            numbers=["requests", "changed", "before", "after", "delta"],
        )
    _show_unpriced(plan)
    if plan.given:
        click.echo(f"{plan.given:,} requests have a cost that was given; it stays.")
    for part in plan.sealed:
        click.echo(
            f"{part.requests:,} requests of {part.provider} in {part.month:%Y-%m}"
            f" (${dollars(part.cost)}) cannot be repriced: the month is sealed, their rows are"
            " gone."
        )
    if plan.changed:
        return
    if plan.requests:
        click.echo(f"Nothing to do: {plan.requests:,} requests cost what they should.")
    else:
        click.echo("Nothing to do: the ledger has no row of this model in this time.")


def _row(day: Day) -> tuple[object, ...]:
    figures = (dollars(day.before), dollars(day.after), _signed(day.delta))
    return (day.day, f"{day.requests:,}", f"{day.changed:,}", *figures)


def _total(days: Sequence[Day]) -> list[tuple[object, ...]]:
    if len(days) == 1:
        return []
    requests, changed = sum(d.requests for d in days), sum(d.changed for d in days)
    before = sum((d.before for d in days), Decimal(0))
    after = sum((d.after for d in days), Decimal(0))
    figures = (dollars(before), dollars(after), _signed(after - before))
    return [("total", f"{requests:,}", f"{changed:,}", *figures)]


def _show_unpriced(plan: Preview) -> None:
    before = sum(day.unpriced_before for day in plan.days)
    after = sum(day.unpriced_after for day in plan.days)
    if before != after:
        click.echo(f"Unpriced requests: {before:,} before, {after:,} after.")
    elif after:
        click.echo(f"{after:,} requests are unpriced and stay so; they are in no cost.")


def _signed(amount: Decimal) -> str:
    sign = "-" if amount < 0 else "+" if amount > 0 else ""
    return f"{sign}{dollars(abs(amount))}"


def _as_dict(plan: Preview, run: Run | None) -> dict[str, object]:
    return {
        "model": plan.scope.model,
        "provider": plan.scope.provider,
        "from": plan.scope.since.astimezone(UTC).isoformat(),
        "to": plan.scope.until.astimezone(UTC).isoformat(),
        "known_at": plan.known_at.astimezone(UTC).isoformat(),
        "requests": plan.requests,
        "changed": plan.changed,
        "delta": str(plan.delta),
        "given": plan.given,
        "days": [{**asdict(day), "delta": day.delta} for day in plan.days],
        "sealed": [asdict(part) for part in plan.sealed],
        "resumes": plan.resumes,
        "run": None if run is None else _run_as_dict(run),
    }


def _run_as_dict(run: Run) -> dict[str, object]:
    found = asdict(run) | {"state": run.state}
    return {
        n: v.astimezone(UTC).isoformat() if isinstance(v, datetime) else v for n, v in found.items()
    }


@reprice.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; amounts as text.")
def list_(*, as_json: bool) -> None:
    """List the repricings, the newest first."""
    with transaction("spendbeat_reader") as session:
        found = runs.runs(session)
    if as_json:
        print_json([_run_as_dict(run) for run in found])
        return
    if not found:
        click.echo("There are none; 'spendbeat reprice --model MODEL --from DATE' makes one.")
        return
    print_table(
        ["id", "at", "by", "provider", "model", "from", "to", "rows", "delta", "state"],
        [_line(run) for run in found],
        numbers=["id", "rows", "delta"],
    )


def _line(run: Run) -> tuple[object, ...]:
    since, until, at = (
        f"{t.astimezone(UTC):%Y-%m-%d %H:%M}" for t in (run.since, run.until, run.at)
    )
    who = (run.by, run.provider or "all", run.model)
    return (run.id, at, *who, since, until, f"{run.rows:,}", _signed(run.delta), run.state)


@reprice.command("undo")
@click.argument("run", type=int)
@click.option(
    "--keep-corrected",
    is_flag=True,
    help="Leave requests alone that were corrected again later, instead of refusing.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--by", help="Who does this, for the record. Default: the login name.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; amounts as text.")
def undo_(run: int, *, keep_corrected: bool, yes: bool, by: str | None, as_json: bool) -> None:
    """Take repricing RUN back: its requests cost what they did before, to the last digit.

    Where some of them were corrected again later it refuses and says by what. Of several
    repricings of the same requests, undo the last one first.
    """
    with transaction("spendbeat_reader") as session:
        found = runs.get(session, run)
    if not found.undone_at and not yes and sys.stdin.isatty():
        what = f"{found.rows:,} adjustments, {_signed(found.delta)} dollars"
        click.confirm(f"Take back {what}?", abort=True, err=True)
    with _windows() as show:
        result = undo(
            engine(), run, by=by or _login(), keep_corrected=keep_corrected, on_window=show
        )
    if as_json:
        said = {"rows": result.rows, "delta": result.delta, "kept": result.kept}
        print_json({**said, "gone": result.gone, "run": _run_as_dict(result.run)})
        return
    if found.undone_at:
        click.echo(f"Repricing {run} is undone already.")
        return
    click.echo(f"Repricing {run}: {result.rows:,} adjustments taken back, {_signed(result.delta)}.")
    if result.kept:
        click.echo(f"{result.kept:,} were left: their requests were corrected again later.")
    if result.gone:
        click.echo(f"{result.gone:,} cannot be: their months were sealed since.")


@contextmanager
def _windows() -> Iterator[Callable[[int, int], None]]:
    if not Console(stderr=True).is_terminal:
        yield lambda _done, _of: None
        return
    with click.progressbar(length=1000, label="Undoing", file=sys.stderr) as bar:

        def show(done: int, of: int) -> None:
            bar.update(done * 1000 // max(of, 1) - bar.pos)

        yield show


commands = {"reprice": reprice}
