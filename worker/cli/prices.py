from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

import click

from spend.errors import BadInputError
from spend.pricing import Override, Rates, Tier, overrides
from spend.pricing.explain import Explanation, explain
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


@click.group
def prices() -> None:
    """What models cost, when, and where that is from; prices of one's own."""


@prices.command
@click.argument("model")
@click.option("--provider", help="Needed where several offer the model, or none is known to.")
@click.option("--at", "at", help="Date or time, UTC unless it has an offset. Default: now.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; rates as text.")
def show(model: str, provider: str | None, at: str | None, *, as_json: bool) -> None:
    """Explain the price of MODEL: what a request that begins at that time is booked at.

    \b
    Examples:
      spendbeat prices show gpt-4o --at 2024-09-01
      spendbeat prices show gpt-4o --provider azure --at 2026-11-21T09:15+05:30 --json
    """
    when = moment(at, "UTC") if at else datetime.now(UTC)
    with transaction("spendbeat_reader") as session:
        found = explain(provider, model, when, overrides.load(session))
    if as_json:
        print_json(_as_dict(found))
    else:
        _print(found)


def _print(found: Explanation) -> None:
    click.echo(f"{found.provider} {found.model} at {found.at:%Y-%m-%d %H:%M:%S%z}")
    if not found.tiers:
        click.echo(
            "unpriced: no source knows what it costs. Requests are counted, their cost is"
            " not; 'spendbeat prices set' gives it a price."
        )
        return
    rows = [
        (_NAMES[name], f"{rate:f}", _above(tier.above))
        for tier in found.tiers
        for name in _NAMES
        if (rate := getattr(tier.rates, name)) is not None
    ]
    print_table(["tokens", "$ per million", "prompts"], rows, numbers=["$ per million"])
    if (request := found.tiers[0].rates.request) is not None:
        click.echo(f"and ${request:f} per request")
    click.echo(f"valid   {_valid(found)}")
    click.echo(f"source  {_source(found)}")
    if found.origin.assumption:
        click.echo(f"assumed {found.origin.assumption}")
    if found.note:
        click.echo(f"note    {found.note}")


def _above(above: int) -> str:
    return f"above {above:,} tokens" if above else "all"


def _valid(found: Explanation) -> str:
    start = f"from {found.valid_from:%Y-%m-%d %H:%M}" if found.valid_from else "since ever"
    end = f" to {found.valid_to:%Y-%m-%d %H:%M}" if found.valid_to else ""
    hours = f", daily {found.hours[0]:%H:%M} to {found.hours[1]:%H:%M}" if found.hours else ""
    return f"{start}{end}{hours} (UTC)"


def _source(found: Explanation) -> str:
    source = f"{found.origin.source} {found.origin.version}".strip()
    if found.matched:
        return f"{source}, there {found.matched[0]} {found.matched[1]}"
    return source


def _as_dict(found: Explanation) -> dict[str, object]:
    return {
        "provider": found.provider,
        "model": found.model,
        "at": found.at.isoformat(),
        **found.origin._asdict(),
        "library_provider": found.matched[0] if found.matched else None,
        "library_model": found.matched[1] if found.matched else None,
        "valid_from": found.valid_from.isoformat() if found.valid_from else None,
        "valid_to": found.valid_to.isoformat() if found.valid_to else None,
        "daily": [hour.isoformat() for hour in found.hours] if found.hours else None,
        "tiers": [
            {"above_input_tokens": tier.above, "per_million": _rates(tier.rates)}
            for tier in found.tiers
        ],
        "note": found.note,
    }


def _rates(rates: Rates) -> dict[str, str]:
    found = {field.name: getattr(rates, field.name) for field in fields(rates)}
    return {name: f"{rate:f}" for name, rate in found.items() if rate is not None}


@prices.command("set")
@click.argument("model")
@click.option("--provider", required=True)
@click.option("--input", "input_", required=True, metavar="USD", help="Per million tokens.")
@click.option("--output", required=True, metavar="USD", help="Per million tokens.")
@click.option("--cache-read", metavar="USD", help="Default: as input.")
@click.option("--cache-write", metavar="USD", help="Default: as input.")
@click.option("--cache-write-1h", metavar="USD", help="Default: as cache write.")
@click.option("--from", "since", required=True, help="Date or time, UTC unless it has an offset.")
@click.option("--to", "until", help="Up to, not including. Default: no end.")
@click.option("--note", default="", help="Why: a contract, a discount.")
def set_(
    model: str,
    *,
    provider: str,
    input_: str,
    output: str,
    cache_read: str | None,
    cache_write: str | None,
    cache_write_1h: str | None,
    since: str,
    until: str | None,
    note: str,
) -> None:
    """Give MODEL a price of your own; it wins over every other one.

    It holds for requests that are imported from now on and began within its time; of two that
    overlap, the one made later wins. Where nothing else is known of a model, requests from before
    --from get this price too, marked 'before-first-price'.

    \b
    Example:
      spendbeat prices set gpt-4o --provider azure --input 2.25 --output 9 --from 2026-11-01
    """
    rates = Rates(
        input=_rate(input_),
        output=_rate(output),
        cache_read=_rate(cache_read),
        cache_write=_rate(cache_write),
        cache_write_1h=_rate(cache_write_1h),
    )
    with transaction() as session:
        made = overrides.add(
            session,
            provider=provider.strip(),
            model=model.strip(),
            tiers=[Tier(0, rates)],
            valid_from=moment(since, "UTC"),
            valid_to=moment(until, "UTC") if until else None,
            note=note,
        )
    click.echo(f"Override {made.id}: {made.provider} {made.model}, {_period(made)}.")


def _rate(given: str | None) -> Decimal | None:
    if given is None:
        return None
    try:
        return Decimal(given)
    except InvalidOperation:
        raise BadInputError(f"{given!r} is not a number of dollars.") from None


def _period(made: Override) -> str:
    end = f" to {made.valid_to.astimezone(UTC):%Y-%m-%d %H:%M}" if made.valid_to else ""
    return f"from {made.valid_from.astimezone(UTC):%Y-%m-%d %H:%M}{end} (UTC)"


@prices.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; rates as text.")
def list_(*, as_json: bool) -> None:
    """List the prices of your own, oldest first."""
    with transaction("spendbeat_reader") as session:
        found = overrides.load(session)
    if as_json:
        print_json(
            [
                {
                    "id": o.id,
                    "provider": o.provider,
                    "model": o.model,
                    "valid_from": o.valid_from.astimezone(UTC).isoformat(),
                    "valid_to": o.valid_to.astimezone(UTC).isoformat() if o.valid_to else None,
                    "per_million": _rates(o.tiers[0].rates),
                    "note": o.note,
                }
                for o in found
            ]
        )
    elif not found:
        click.echo("There are none; 'spendbeat prices set' makes one.")
    else:
        print_table(
            ["id", "provider", "model", "period", "input", "output", "note"],
            [
                (o.id, o.provider, o.model, _period(o), *_two(o.tiers[0].rates), o.note)
                for o in found
            ],
            numbers=["id", "input", "output"],
        )


def _two(rates: Rates) -> tuple[str, str]:
    return f"{rates.input:f}", f"{rates.output:f}"


commands = {"prices": prices}
