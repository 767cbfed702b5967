"""Commands that show prices: show, list, history."""

from datetime import UTC, datetime

import click

from spend.pricing import Override, Rates, Tier, overrides
from spend.pricing.explain import Explanation, explain
from spend.pricing.history import History, Winner, history
from spend.pricing.tiers import rates_to_json
from worker.cli.output import moment, print_json, print_table
from worker.database import transaction

_NAMES = {
    "input": "input",
    "output": "output",
    "cache_read": "cache read",
    "cache_write": "cache write",
    "cache_write_1h": "cache write, 1 h",
    "reasoning": "reasoning",
    "audio_input": "audio input",
    "audio_output": "audio output",
    "cached_audio": "cached audio",
}
_KNOWN_AT = "Only what was known then. Date or time, UTC unless it has an offset."


@click.command
@click.argument("model")
@click.option("--provider", help="Needed where several offer the model, or none is known to.")
@click.option("--at", "at", help="Date or time, UTC unless it has an offset. Default: now.")
@click.option("--known-at", help=_KNOWN_AT)
@click.option("--json", "as_json", is_flag=True, help="Print JSON; rates as text.")
def show(
    model: str, provider: str | None, at: str | None, known_at: str | None, *, as_json: bool
) -> None:
    """Explain the price of MODEL: what a request that begins at that time is booked at.

    \b
    Examples:
      spendbeat prices show gpt-4o --at 2024-09-01
      spendbeat prices show gpt-4o --provider azure --at 2026-11-21T09:15+05:30 --json
    """
    when = moment(at, "UTC") if at else datetime.now(UTC)
    found = explain(provider, model, when, _load(known_at))
    if as_json:
        print_json(_as_dict(found))
    else:
        _print(found)


def _load(known_at: str | None) -> list[Override]:
    until = moment(known_at, "UTC") if known_at else None
    with transaction("spendbeat_reader") as session:
        return overrides.load(session, known_at=until)


def _print(found: Explanation) -> None:
    click.echo(f"{found.provider} {found.model} at {found.at:%Y-%m-%d %H:%M:%S%z}")
    if not found.tiers:
        click.echo(
            "unpriced: no source knows what it costs. Requests are counted, their cost is"
            " not; 'spendbeat prices set' gives it a price."
        )
        return
    services = any(tier.service for tier in found.tiers)
    rows = [
        (_NAMES[name], f"{rate:f}", _above(tier.above), *_service(tier, wanted=services))
        for tier in found.tiers
        for name in _NAMES
        if (rate := getattr(tier.rates, name)) is not None
    ]
    columns = ["tokens", "$ per million", "prompts", *(["service tier"] if services else [])]
    print_table(columns, rows, numbers=["$ per million"])
    if (request := found.tiers[0].rates.request) is not None:
        click.echo(f"and ${request:f} per request")
    click.echo(f"valid   {_valid(found)}")
    click.echo(f"source  {_source(found)}")
    if found.origin.assumption:
        click.echo(f"assumed {found.origin.assumption}")
    if found.note:
        click.echo(f"note    {found.note}")


def _service(tier: Tier, *, wanted: bool) -> tuple[str, ...]:
    return (tier.service or "standard",) if wanted else ()


def _above(above: int) -> str:
    return f"above {above:,} tokens" if above else "all"


def _valid(found: Explanation) -> str:
    start = f"from {found.valid_from:%Y-%m-%d %H:%M}" if found.valid_from else "since ever"
    end = f" to {found.valid_to:%Y-%m-%d %H:%M}" if found.valid_to else ""
    hours = f", daily {found.hours[0]:%H:%M} to {found.hours[1]:%H:%M}" if found.hours else ""
    return f"{start}{end}{hours} (UTC)"


def _source(found: Explanation) -> str:
    source = f"{found.origin.source} {found.origin.version}".strip()
    if found.list:
        source = f"{source}, imported from {found.list}"
    if found.matched:
        return f"{source}, there {found.matched[0]} {found.matched[1]}"
    return source


def _as_dict(found: Explanation) -> dict[str, object]:
    return {
        "provider": found.provider,
        "model": found.model,
        "at": found.at.isoformat(),
        **found.origin._asdict(),
        "list": found.list,
        "library_provider": found.matched[0] if found.matched else None,
        "library_model": found.matched[1] if found.matched else None,
        "valid_from": found.valid_from.isoformat() if found.valid_from else None,
        "valid_to": found.valid_to.isoformat() if found.valid_to else None,
        "daily": [hour.isoformat() for hour in found.hours] if found.hours else None,
        "tiers": [_tier(tier) for tier in found.tiers],
        "note": found.note,
    }


def _tier(tier: Tier) -> dict[str, object]:
    rates = rates_to_json(tier.rates)
    request = rates.pop("request", None)
    found = {
        "service_tier": tier.service,
        "above_input_tokens": tier.above,
        "per_million": rates,
    }
    return found if request is None else {**found, "per_request": request}


@click.command("list")
@click.option("--list", "list_", metavar="NAME", help="The prices of an imported list instead.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; rates as text.")
def list_(list_: str | None, *, as_json: bool) -> None:
    """List the prices of your own, or those of an imported list, oldest first."""
    everything = _load(None)
    found = [price for price in everything if price.list == (list_ or "")]
    if as_json:
        print_json([_recorded(price) for price in found])
        return
    if found:
        print_table(
            ["id", "provider", "model", "period", "input", "output", "tiers", "note"],
            [(p.id, p.provider, p.model, period(p), *_short(p.tiers), p.note) for p in found],
            numbers=["id", "input", "output", "tiers"],
        )
    else:
        click.echo("There are none; 'spendbeat prices set' makes one.")
    if others := sorted({price.list for price in everything} - {list_ or "", ""}):
        click.echo(f"Imported lists: {', '.join(others)} (--list NAME shows one).")


def _recorded(price: Override) -> dict[str, object]:
    return {
        "id": price.id,
        "list": price.list,
        "provider": price.provider,
        "model": price.model,
        "valid_from": _iso(price.valid_from),
        "valid_to": _iso(price.until),
        "known_at": _iso(price.known_at),
        "withdrawn": price.withdrawn,
        "ends": [{"known_at": _iso(e.known_at), "ends_at": _iso(e.ends_at)} for e in price.ends],
        "tiers": [_tier(tier) for tier in price.tiers],
        "note": price.note,
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()


def period(price: Override) -> str:
    """The times between which a price is valid, for people."""
    if price.withdrawn:
        return "withdrawn"
    end = f" to {price.until.astimezone(UTC):%Y-%m-%d %H:%M}" if price.until else ""
    return f"from {price.valid_from.astimezone(UTC):%Y-%m-%d %H:%M}{end} (UTC)"


def _short(tiers: tuple[Tier, ...]) -> tuple[str, str, int]:
    standard = next((t.rates for t in tiers if not t.service and not t.above), Rates())
    return _rate(standard, "input"), _rate(standard, "output"), len(tiers)


def _rate(rates: Rates, name: str) -> str:
    rate = getattr(rates, name)
    return "-" if rate is None else f"{rate:f}"


@click.command("history")
@click.argument("model")
@click.option("--provider", help="Needed where several offer the model, or none is known to.")
@click.option("--known-at", help=_KNOWN_AT)
@click.option("--json", "as_json", is_flag=True, help="Print JSON; rates as text.")
def history_(model: str, provider: str | None, known_at: str | None, *, as_json: bool) -> None:
    """Show every price recorded for MODEL, when it is valid and since when it is known.

    Below, what a request is priced at by the time that it begins: of your own prices the one
    recorded last, else of the lists', else what the bundled library says. --known-at answers what
    would have been said at an earlier time.

    \b
    Example:
      spendbeat prices history gpt-4o --provider openai --known-at 2026-11-01
    """
    found = history(provider, model, _load(known_at))
    if as_json:
        print_json(
            {
                "provider": found.provider,
                "model": found.model,
                "recorded": [_recorded(price) for price in found.recorded],
                "winners": [_winner(winner) for winner in found.winners],
            }
        )
    else:
        _print_history(found)


def _winner(winner: Winner) -> dict[str, object]:
    return {
        "valid_from": _iso(winner.valid_from),
        "valid_to": _iso(winner.valid_to),
        **winner.origin._asdict(),
        "by_hour": winner.by_hour,
        "tiers": [_tier(tier) for tier in winner.tiers],
    }


def _print_history(found: History) -> None:
    click.echo(f"{found.provider} {found.model}, times in UTC, $ per million tokens")
    if found.recorded:
        print_table(
            ["id", "known since", "valid", "list", "input", "output", "tiers", "note"],
            [
                (p.id, _time(p.known_at, ""), _changed(p), p.list, *_short(p.tiers), p.note)
                for p in found.recorded
            ],
            numbers=["id", "input", "output", "tiers"],
        )
    else:
        click.echo("no price is recorded")
    click.echo("\nwhat wins:")
    print_table(
        ["from", "to", "source", "version", "assumed", "input", "output", "tiers"],
        [
            (
                _time(w.valid_from, "ever"),
                _time(w.valid_to, "ever"),
                *w.origin,
                *_short(w.tiers),
            )
            for w in found.winners
        ],
        numbers=["input", "output", "tiers"],
    )


def _changed(price: Override) -> str:
    said = period(price).removesuffix(" (UTC)")
    if not price.ends:
        return said
    return f"{said}, as known since {_time(price.ends[-1].known_at, '')}"


def _time(moment: datetime | None, otherwise: str) -> str:
    return otherwise if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


commands = {"show": show, "list": list_, "history": history_}
