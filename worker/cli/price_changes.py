"""Commands that record prices: set, end, import."""

import re
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

import click
from sqlalchemy.orm import Session

from spend.errors import BadInputError
from spend.pricing import Rates, Tier, lists, overrides
from spend.pricing.lists.plan import Change, Plan, lock
from spend.pricing.services import service_name
from spend.pricing.tiers import CLASSES, rates_to_json, to_json
from worker.cli.output import moment, print_json, print_table
from worker.cli.price_views import period
from worker.cli.progress import progress
from worker.database import transaction

_SHOWN = 20


@click.command("set")
@click.argument("model")
@click.option("--provider", required=True)
@click.option("--input", required=True, metavar="USD", help="Per million tokens.")
@click.option("--output", required=True, metavar="USD", help="Per million tokens.")
@click.option("--cache-read", metavar="USD", help="Default: as input.")
@click.option("--cache-write", metavar="USD", help="Default: as input.")
@click.option("--cache-write-1h", metavar="USD", help="Default: as cache write.")
@click.option("--reasoning", metavar="USD", help="Default: as output.")
@click.option("--audio-input", metavar="USD", help="Default: as input.")
@click.option("--audio-output", metavar="USD", help="Default: as output.")
@click.option("--cached-audio", metavar="USD", help="Default: the discounts of both together.")
@click.option("--request", metavar="USD", help="Per request, on top.")
@click.option(
    "--when",
    "others",
    multiple=True,
    metavar="CONDITION,RATES",
    help="Other rates for prompts above some tokens, a service tier, or both. Repeatable.",
)
@click.option("--from", "since", required=True, help="Date or time, UTC unless it has an offset.")
@click.option("--to", "until", help="Up to, not including. Default: no end.")
@click.option("--note", default="", help="Why: a contract, a discount.")
def set_(
    model: str,
    *,
    provider: str,
    others: tuple[str, ...],
    since: str,
    until: str | None,
    note: str,
    **given: str | None,
) -> None:
    """Give MODEL a price of your own; it wins over every other one.

    It holds for requests that are booked from now on and began within its time; of two that
    overlap, the one recorded later wins. Where nothing else is known of a model, requests from
    before --from get this price too, marked 'before-first-price'.

    \b
    Examples:
      spendbeat prices set gpt-4o --provider azure --input 2.25 --output 9 --from 2026-11-01
      spendbeat prices set nope-9 --provider openai --input 1 --output 4 --from 2026-11-01 \\
        --when above=200000,input=2,output=6 --when tier=batch,input=0.5,output=2
    """
    rates = {name: _rate(given[name]) for name in CLASSES if given[name] is not None}
    with transaction() as session:
        made = overrides.add(
            session,
            provider=provider.strip(),
            model=model.strip(),
            tiers=[Tier(0, Rates(**rates)), *map(_when, others)],
            valid_from=moment(since, "UTC"),
            valid_to=moment(until, "UTC") if until else None,
            note=note,
        )
    click.echo(f"Override {made.id}: {made.provider} {made.model}, {period(made)}.")


def _when(said: str) -> Tier:
    """Read "above=200000,tier=batch,input=2,output=6"."""
    above, service, rates = 0, "", {}
    for part in said.split(","):
        name, equals, value = part.strip().partition("=")
        name = name.strip().replace("-", "_")
        if name == "above" and re.fullmatch(r"[0-9_]+", value):
            above = int(value)
        elif name == "tier" and service_name(value):
            service = service_name(value)
        elif name in CLASSES and equals:
            rates[name] = _rate(value)
        else:
            raise BadInputError(
                f"--when {said!r}: {part!r} is not above=TOKENS, tier=NAME or a rate such as"
                f" input=2; rates are {', '.join(CLASSES)}."
            )
    if not (above or service) or not rates:
        raise BadInputError(f"--when {said!r} needs above=TOKENS or tier=NAME, and rates.")
    return Tier(above, Rates(**rates), service)


def _rate(given: str | None) -> Decimal:
    try:
        return Decimal(given or "")
    except InvalidOperation:
        raise BadInputError(f"{given!r} is not a number of dollars.") from None


@click.command
@click.argument("price", type=int)
@click.option("--at", help="Date or time, UTC unless it has an offset. Default: now.")
@click.option("--never", is_flag=True, help="It has no end: takes an earlier end back.")
@click.option("--withdraw", is_flag=True, help="It was never valid: a mistake.")
@click.option("--note", default="", help="Why.")
def end(price: int, *, at: str | None, never: bool, withdraw: bool, note: str) -> None:
    """Say when the price with the number PRICE ends, also one that has ended or been withdrawn.

    Prices are not changed or deleted. What you say is recorded with its time, the newest word
    holds, and 'prices history --known-at' still shows what was known before. Rows that are booked
    keep their cost.

    \b
    Examples:
      spendbeat prices end 17 --at 2026-12-01
      spendbeat prices end 17 --never
      spendbeat prices end 18 --withdraw --note "typed 10 for 1"
    """
    if sum((at is not None, never, withdraw)) > 1:
        raise BadInputError("--at, --never and --withdraw exclude each other.")
    with transaction() as session:
        if withdraw:
            until: datetime | None = overrides.find(session, price).valid_from
        elif never:
            until = None
        else:
            until = moment(at, "UTC") if at else datetime.now(UTC)
        found = overrides.end(session, price, until, note)
    click.echo(f"Price {found.id}: {found.provider} {found.model}, {period(found)}.")


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--list", "list_", required=True, metavar="NAME", help="What to call the list.")
@click.option(
    "--from",
    "since",
    help="Valid from this date or time on. Default: today, 00:00 UTC.",
)
@click.option("--dry-run", is_flag=True, help="Say what would change, and record nothing.")
@click.option("--note", default="", help="Kept with each price.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def import_(
    file: Path, *, list_: str, since: str | None, dry_run: bool, note: str, as_json: bool
) -> None:
    """Record the prices of FILE: LiteLLM's price map (JSON), or a CSV of your own.

    A list's prices win over those of the bundled library and over nothing else. A price that the
    list has already makes no new one, so importing a file again changes nothing. Models that are
    no longer in the file keep their last price.

    \b
    CSV columns: provider, model, input, output (needed); service_tier, above_input_tokens,
    cache_read, cache_write, cache_write_1h, reasoning, audio_input, audio_output, cached_audio,
    request, valid_from, valid_to. Dollars per million tokens, request per request.

    \b
    Examples:
      spendbeat prices import model_prices_and_context_window.json --list litellm --dry-run
      spendbeat prices import contract.csv --list contract --from 2026-11-01
    """
    if not list_.strip():
        raise BadInputError("The list needs a name.")
    name = list_.strip()
    now = datetime.now(UTC)
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    start = moment(since, "UTC") if since else today
    entries, skipped = lists.read(file)
    with transaction("spendbeat_reader" if dry_run else "spendbeat_writer") as session:
        if not dry_run:
            lock(session, name)
        had = overrides.load(session)
        planned = lists.plan(had, entries, skipped, list_=name, since=start)
        if not dry_run:
            _record(planned, session, note)
    if as_json:
        print_json(_planned(planned, dry_run=dry_run))
    else:
        _print_plan(planned, dry_run=dry_run)


class _Done:
    """How far an import has come, for the progress bar."""

    def __init__(self) -> None:
        self.read = 0
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began


def _record(planned: Plan, session: Session, note: str) -> None:
    done = _Done()
    with progress("Recording", len(planned.changes), lambda: done.read) as show:

        def on_progress(count: int) -> None:
            done.read = count
            show(done)

        lists.apply(session, planned, note=note, on_progress=on_progress)


def _counts(planned: Plan) -> dict[str, int]:
    return {
        "new": planned.new,
        "changed": planned.changed,
        "same": planned.same,
        "skipped": len(planned.skipped),
        "gone": len(planned.gone),
    }


def _planned(planned: Plan, *, dry_run: bool) -> dict[str, object]:
    return {
        "list": planned.list_,
        "dry_run": dry_run,
        **_counts(planned),
        "changes": [
            {
                "provider": wanted.provider,
                "model": wanted.model,
                "valid_from": wanted.valid_from.isoformat(),
                "valid_to": wanted.valid_to.isoformat() if wanted.valid_to else None,
                "before": None if before is None else to_json(before),
                "tiers": to_json(wanted.tiers),
            }
            for wanted, before in planned.changes
        ],
        "skipped_entries": [skipped._asdict() for skipped in planned.skipped],
        "gone_models": [f"{provider} {model}" for provider, model in planned.gone],
    }


def _print_plan(planned: Plan, *, dry_run: bool) -> None:
    counts = _counts(planned)
    said = ", ".join(f"{count:,} {name}" for name, count in counts.items() if name != "gone")
    would = " (nothing is recorded: --dry-run)" if dry_run else ""
    click.echo(f"{planned.list_}: {said}{would}")
    changed = [change for change in planned.changes if change.before is not None]
    if changed:
        print_table(
            ["provider", "model", "from", "rate", "before", "now"],
            [row for change in changed[:_SHOWN] for row in _differences(change)],
            numbers=["before", "now"],
        )
    if len(changed) > _SHOWN:
        click.echo(f"... and {len(changed) - _SHOWN:,} more; --json shows all.")
    for reason, count in Counter(skipped.reason for skipped in planned.skipped).most_common():
        click.echo(f"skipped {count:,}: {reason}")
    if planned.gone:
        click.echo(f"{len(planned.gone):,} models of the list are not in the file and stay.")


def _differences(change: Change) -> list[tuple[str, ...]]:
    """The rates that changed, those of other tiers with the tier's name."""
    before, now = (_rates(tiers) for tiers in (change.before or (), change.wanted.tiers))
    wanted = change.wanted
    who = wanted.provider, wanted.model, f"{wanted.valid_from.astimezone(UTC):%Y-%m-%d %H:%M}"
    return [
        (*who, name, before.get(name, "-"), now.get(name, "-"))
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ] or [(*who, "(until when)", "", "")]


def _rates(tiers: Sequence[Tier]) -> dict[str, str]:
    found = {}
    for tier in tiers:
        where = f" {tier.service}" if tier.service else ""
        where += f" above {tier.above:,}" if tier.above else ""
        for name, rate in rates_to_json(tier.rates).items():
            found[name + where] = rate
    return found


commands = {"set": set_, "end": end, "import": import_}
