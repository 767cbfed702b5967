"""Commands about alerts: what was crossed, and what people do with it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import click

from models import ALERT_STATES
from spend.alerts import listing, states
from spend.alerts.alert import Alert, shown
from spend.amounts import dollars
from spend.budgets import store
from spend.budgets.definition import SEVERITIES
from spend.errors import BadInputError
from worker import bell
from worker.cli.attribution import who
from worker.cli.output import moment, print_json, print_table
from worker.database import transaction

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_NOTE = click.option("--note", default="", help="For people.")
_IDS = click.argument("alert_ids", metavar="ID...", nargs=-1, required=True, type=int)
_MOST_DIGITS = 5
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@click.group
def alerts() -> None:
    """Alerts: thresholds of budgets that were crossed."""


@alerts.command("list")
@click.option(
    "--state", "states_", multiple=True, type=click.Choice(ALERT_STATES), help="Only these."
)
@click.option(
    "--severity", "severities", multiple=True, type=click.Choice(SEVERITIES), help="Only these."
)
@click.option("--budget", help="Only those of this budget.")
@click.option("--all", "everything", is_flag=True, help="Also resolved ones.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000_000),
    default=50,
    show_default=True,
    help="The newest so many.",
)
@_JSON
def list_(
    *,
    states_: Sequence[str],
    severities: Sequence[str],
    budget: str | None,
    everything: bool,
    limit: int,
    as_json: bool,
) -> None:
    """List alerts that are not resolved, the newest first.

    \b
    Examples:
      spendbeat alerts list
      spendbeat alerts list --severity critical --state open --state escalated
      spendbeat alerts list --all --budget shop --json
    """
    wanted = states_ or (None if everything else listing.LIVE)
    with transaction("spendbeat_reader") as session:
        found = listing.alerts(
            session,
            states=wanted,
            severities=severities or None,
            budget_id=None if budget is None else store.find(session, budget, removed=True).id,
            most=limit,
        )
    if as_json:
        print_json([listing.as_json(alert) for alert in found])
    elif found:
        _print(found)
    else:
        click.echo("There are none.")


@alerts.command
@click.argument("alert_id", metavar="ID", type=int)
@_JSON
def show(*, alert_id: int, as_json: bool) -> None:
    """One alert: what was spent, where it came from, and what became of it.

    \b
    Example:
      spendbeat alerts show 17
    """
    with transaction("spendbeat_reader") as session:
        alert = listing.find(session, alert_id)
        history = listing.history(session, alert_id)
    if as_json:
        changes = [listing.change_as_json(change) for change in history]
        print_json({**listing.as_json(alert), "history": changes})
        return
    _print([alert])
    click.echo("")
    for dimension, most in alert.contributors.items():
        each = ", ".join(f"{shown(value)} ${dollars(spend)}" for value, spend in most)
        click.echo(f"{'most by ' + dimension:18}{each or '(nothing)'}")
    if len(alert.together) > 1:
        click.echo(f"{'crossed together':18}{', '.join(alert.together)}")
    click.echo("")
    print_table(
        ["at", "change", "by", "note"],
        [
            (_time(change.at), change.change, change.by or "Spendbeat", change.note)
            for change in history
        ],
    )


@alerts.command
@_IDS
@_NOTE
@_JSON
def ack(*, alert_ids: Sequence[int], note: str, as_json: bool) -> None:
    """Acknowledge: somebody is at it, so it does not escalate.

    \b
    Examples:
      spendbeat alerts ack 17
      spendbeat alerts ack 17 18 --note "the nightly evaluation, stops at six"
    """
    now = datetime.now(UTC)
    with transaction() as session:
        found = [
            states.acknowledge(session, id_, by=who(), note=note, now=now)
            for id_ in sorted(alert_ids)
        ]
    _tell(found, as_json=as_json)


@alerts.command
@_IDS
@click.option("--for", "how_long", help="Such as 30m, 4h or 2d.")
@click.option("--until", help="A date or time; in --zone unless it has an offset.")
@click.option("--zone", default="UTC", show_default=True, help="Time zone of --until.")
@_NOTE
@_JSON
def snooze(
    *,
    alert_ids: Sequence[int],
    how_long: str | None,
    until: str | None,
    zone: str,
    note: str,
    as_json: bool,
) -> None:
    """Keep quiet for a while; then it is open again, and told once more.

    \b
    Examples:
      spendbeat alerts snooze 17 --for 4h
      spendbeat alerts snooze 17 --until 2026-11-24T09:00 --zone Europe/Berlin
    """
    if (how_long is None) == (until is None):
        raise click.UsageError("Say either --for or --until.")
    now = datetime.now(UTC)
    end = now + _duration(how_long) if how_long is not None else moment(str(until), zone)
    with transaction() as session:
        found = [
            states.snooze(session, id_, until=end, by=who(), note=note, now=now)
            for id_ in sorted(alert_ids)
        ]
    _tell(found, as_json=as_json)


@alerts.command
@_IDS
@_NOTE
@_JSON
def resolve(*, alert_ids: Sequence[int], note: str, as_json: bool) -> None:
    """It is dealt with. The same threshold is not told again in this period.

    \b
    Example:
      spendbeat alerts resolve 17 --note "stopped the loop"
    """
    now = datetime.now(UTC)
    with transaction() as session:
        found = [
            states.resolve(session, id_, by=who(), note=note, now=now) for id_ in sorted(alert_ids)
        ]
    _tell(found, as_json=as_json)


@alerts.command
@_IDS
@click.option("--channel", help="Only to this channel, also when it never had it.")
@_JSON
def replay(*, alert_ids: Sequence[int], channel: str | None, as_json: bool) -> None:
    """Send the messages about an alert again, with the same ids.

    A receiver that has one of them already knows it by its id. Messages that wait already stay as
    they are.

    \b
    Examples:
      spendbeat alerts replay 17
      spendbeat alerts replay 17 --channel ops
    """
    now = datetime.now(UTC)
    with transaction() as session:
        again = sum(
            states.replay(session, id_, by=who(), now=now, channel=channel)
            for id_ in sorted(alert_ids)
        )
    bell.ring()
    if as_json:
        print_json({"again": again})
    elif again:
        click.echo(f"{again:,} messages leave within moments.")
    else:
        click.echo("Nothing leaves: all wait already, or no channel is active.")


def _tell(found: Sequence[Alert], *, as_json: bool) -> None:
    bell.ring()
    if as_json:
        print_json([listing.as_json(alert) for alert in found])
    else:
        _print(found)


def _print(found: Sequence[Alert]) -> None:
    print_table(
        ["id", "raised", "severity", "budget", "period", "threshold", "spent", "limit", "state"],
        [
            (
                alert.id,
                _time(alert.raised_at),
                alert.severity,
                alert.budget,
                str(alert.period.first) if alert.period.end else "all of time",
                alert.threshold + (" forecast" if alert.basis == "forecast" else ""),
                ("≥ " if alert.unpriced else "") + f"${dollars(alert.spend)}",
                "" if alert.limit is None else f"${dollars(alert.limit)}",
                _state(alert),
            )
            for alert in found
        ],
        numbers=["id", "spent", "limit"],
    )


def _state(alert: Alert) -> str:
    if alert.state == "resolved":
        return f"resolved ({alert.resolution})"
    until = f" until {_time(alert.snoozed_until)}" if alert.snoozed_until else ""
    return alert.state + until + (f" by {alert.state_by}" if alert.state_by else "")


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _duration(said: str) -> timedelta:
    number, unit = said[:-1], said[-1:]
    if not (
        number.isascii() and number.isdigit() and unit in _UNITS and len(number) <= _MOST_DIGITS
    ):
        raise BadInputError(f"{said!r:.50} is not a time such as 30m, 4h or 2d.")
    return timedelta(**{_UNITS[unit]: int(number)})


commands = {"alerts": alerts}
