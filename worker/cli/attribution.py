"""Commands about who and what for: rules that fill what is missing, and limits."""

import getpass
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import click

from models import ATTRIBUTION_FIELDS, MATCH_FIELDS
from spend.attribution import limits, rules
from spend.attribution.limits import Limit
from spend.attribution.mix import Mix
from spend.attribution.rules import Filled, Rule
from worker.cli.output import moment, print_json, print_table
from worker.database import transaction

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@click.group
def attribution() -> None:
    """Who and what for: rules that fill what is missing, and limits of values."""


@attribution.group("rules")
def rules_() -> None:
    """Rules that fill a field from something else that a request says.

    They fill only what is missing, when a request is booked, by the time at which it began; what
    is booked does not change. An exact match goes before a beginning, a longer beginning before
    a shorter one; of two alike the newer goes first. --priority comes before all of that.
    """


@rules_.command
@click.argument("match")
@click.argument("fill")
@click.option("--from", "since", help="Requests that began then or later. Default: since ever.")
@click.option("--to", "until", help="Requests that began before. Default: no end.")
@click.option("--priority", default=0, show_default=True, help="Higher goes first.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def add(
    match: str, fill: str, *, since: str | None, until: str | None, priority: int, as_json: bool
) -> None:
    """Requests that say MATCH (FIELD=VALUE) and lack the field of FILL (FIELD=VALUE) get it.

    MATCH is organization, project, sprint, agent, user_id, team, api_key, tag, provider or model;
    its value is exact, or a beginning before a *. FILL is one of the first seven. Times are UTC
    unless they have an offset.

    \b
    Examples:
      spendbeat attribution rules add api_key=prod-frontend project=shop \\
        --from 2026-10-01 --to 2026-12-01
      spendbeat attribution rules add 'tag=env:*' team=platform
      spendbeat attribution rules add project=shop organization=acme
    """
    match_field, match_value = _pair(match, "MATCH")
    set_field, set_value = _pair(fill, "FILL")
    wanted = Rule(
        0,
        match_field,
        match_value,
        set_field,
        set_value,
        priority,
        _time(since),
        _time(until),
        created_by=who(),
    )
    with transaction() as session:
        made = rules.add(session, wanted)
        others = rules.rivals(made, rules.listed(session))
    if as_json:
        print_json({**_as_dict(made), "rivals": [_as_dict(other) for other in others]})
        return
    click.echo(f"Rule {made.id}: {rules.described(made)}.")
    for other in others:
        first = made if made.rank < other.rank else other
        click.echo(
            f"Where both match, rule {first.id} goes first; the other one, rule {other.id}:"
            f" {rules.described(other)}."
        )


@rules_.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(*, as_json: bool) -> None:
    """List all rules, oldest first; also those that have ended."""
    with transaction("spendbeat_reader") as session:
        found = rules.listed(session)
    if as_json:
        print_json([_as_dict(rule) for rule in found])
    elif not found:
        click.echo("There are none; 'spendbeat attribution rules add' makes one.")
    else:
        print_table(
            ["id", "match", "fill", "from", "to", "priority", "by"],
            [
                (
                    rule.id,
                    f"{rule.match_field}={rule.match_value}",
                    f"{rule.set_field}={rule.set_value}",
                    _shown(rule.valid_from, "since ever"),
                    _shown(rule.valid_to, "no end"),
                    rule.priority,
                    rule.created_by,
                )
                for rule in found
            ],
            numbers=["id", "priority"],
        )


@rules_.command
@click.argument("rule", type=int)
@click.option("--at", "at", help="Up to, not including, this date or time (UTC). Default: now.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def end(rule: int, *, at: str | None, as_json: bool) -> None:
    """Let RULE (its number) hold only for requests that began before a time.

    With a time before the rule's own beginning it holds for none. What it has filled stays.

    \b
    Example:
      spendbeat attribution rules end 3 --at 2026-12-01
    """
    with transaction() as session:
        ended = rules.end(session, rule, _time(at) or datetime.now(UTC))
    if as_json:
        print_json(_as_dict(ended))
    else:
        click.echo(f"Rule {ended.id}: {rules.described(ended)}.")


def _fields(command: click.decorators.FC) -> click.decorators.FC:
    for field in reversed(ATTRIBUTION_FIELDS):
        command = click.option(f"--{field.replace('_', '-')}", field)(command)
    return command


@rules_.command
@_fields
@click.option("--tag", "tags", multiple=True, help="May be there several times.")
@click.option("--provider", default="", help="Needed where a rule matches it.")
@click.option("--model", default="", help="Needed where a rule matches it.")
@click.option("--at", "at", help="When the request began (UTC). Default: now.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def test(
    *,
    tags: Sequence[str],
    provider: str,
    model: str,
    at: str | None,
    as_json: bool,
    **fields: str | None,
) -> None:
    """Show what rules would fill for a request that says this.

    \b
    Example:
      spendbeat attribution rules test --api-key prod-frontend --at 2026-11-01
    """
    mix = Mix(**{name: value or None for name, value in fields.items()}, tags=tuple(sorted(tags)))
    when = _time(at) or datetime.now(UTC)
    with transaction("spendbeat_reader") as session:
        ready = rules.load(session)
    found = ready.explain(mix, provider, model, (when - _EPOCH) // timedelta(microseconds=1))
    if as_json:
        print_json([{"field": f.field, "value": f.value, "rule": f.rule.id} for f in found])
    elif not found:
        click.echo("No rule fills anything.")
    else:
        _show_filled(found)


def _show_filled(found: Sequence[Filled]) -> None:
    print_table(
        ["field", "value", "rule", "because"],
        [
            (f.field, f.value, f.rule.id, f"{f.rule.match_field}={f.rule.match_value}")
            for f in found
        ],
        numbers=["rule"],
    )


@attribution.group("limits", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def limits_(context: click.Context, *, as_json: bool) -> None:
    """Show how many values each field has, how many it may have, and what was capped.

    A new value beyond the limit becomes (other), the spend is booked; values that were known stay.
    'tag' are the tags without a key, 'tag:KEY' the values of one key, 'tag_keys' the keys,
    'combinations' all of them together.

    \b
    Examples:
      spendbeat attribution limits
      spendbeat attribution limits set user_id 50000
    """
    if context.invoked_subcommand is not None:
        return
    with transaction("spendbeat_reader") as session:
        found = limits.listed(session)
    if as_json:
        print_json([asdict(limit) for limit in found])
        return
    print_table(
        ["field", "values", "limit", "capped since", "replaced", "for example"],
        [_line(limit) for limit in found],
        numbers=["values", "limit", "replaced"],
    )


def _line(limit: Limit) -> tuple[str, ...]:
    return (
        limit.field,
        f"{limit.known:,}",
        f"{limit.most:,}" + (" (set)" if limit.stored else ""),
        _shown(limit.capped_since, ""),
        f"{limit.replaced:,}",
        (limit.example or "")[:60],
    )


@limits_.command("set")
@click.argument("field")
@click.argument("most", metavar="N|default")
def set_(field: str, most: str) -> None:
    """Let FIELD have at most N different values from now on; 'default' takes that back.

    FIELD is an attribution field, tag, tag:KEY, tag:* (each key of tags), tag_keys or
    combinations. Running services follow within seconds; what is booked does not change.

    \b
    Examples:
      spendbeat attribution limits set user_id 50000
      spendbeat attribution limits set tag:request 0
      spendbeat attribution limits set tag default
    """
    if most != "default" and not (most.isascii() and most.isdigit()):
        raise click.BadParameter("must be a whole number or 'default'", param_hint="N")
    with transaction() as session:
        limit = limits.store(session, field, None if most == "default" else int(most))
    click.echo(f"{limit.field}: {limit.known:,} values, at most {limit.most:,}.")


def _pair(given: str, name: str) -> tuple[str, str]:
    field, equals, value = given.partition("=")
    field = {"user": "user_id"}.get(field, field)
    if not equals or not value:
        choices = MATCH_FIELDS if name == "MATCH" else ATTRIBUTION_FIELDS
        raise click.BadParameter(
            f"{given!r} is not FIELD=VALUE; fields are {', '.join(choices)}", param_hint=name
        )
    return field, value


def _time(given: str | None) -> datetime | None:
    return moment(given, "UTC") if given else None


def _shown(when: datetime | None, otherwise: str) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M}" if when else otherwise


def who() -> str:
    """The name of whoever runs the command; empty where it has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in a container
        return ""


def _as_dict(rule: Rule) -> dict[str, object]:
    return {
        name: value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(rule).items()
    }


commands = {"attribution": attribution}
