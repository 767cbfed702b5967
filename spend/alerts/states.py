"""Tables `budget_alerts` and `alert_history`: every change of an alert is a row of history."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from operator import attrgetter

from sqlalchemy.orm import Session

from spend import feed, notes
from spend.alerts import listing, messages
from spend.alerts.alert import Alert, Contributors, Resolution, State
from spend.alerts.lines import Line
from spend.amounts import plain
from spend.budgets.definition import Budget
from spend.errors import BadInputError, ConflictError
from spend.forecast import Forecast
from spend.periods import Span
from spend.sql import query

_MOST_NOTE = 1000
_LONGEST_SNOOZE = timedelta(days=90)


@dataclass(frozen=True)
class Crossing:
    """A line that a budget reached in a period. limit: in force then."""

    budget: Budget
    span: Span
    line: Line
    spend: Decimal
    unpriced: int
    limit: Decimal | None
    forecast: Forecast | None
    together: tuple[str, ...]

    @property
    def key(self) -> tuple[int, Span]:
        return self.budget.id, self.span


def begin(
    session: Session,
    crossings: Sequence[Crossing],
    contributors: Mapping[tuple[int, Span], Contributors],
    now: datetime,
) -> list[Alert]:
    """Keep crossings that were not kept before; the alerts that are new, in their order."""
    ids = []
    for crossing in crossings:
        made = session.scalar(
            query("alerts", "raise"), _values(crossing, contributors[crossing.key], now)
        )
        if made is not None:
            _remember(session, made, "raised", now)
            ids.append(made)
    found = {alert.id: alert for alert in listing.alerts(session, ids=ids, most=len(ids))}
    return [found[id_] for id_ in ids]


def end(session: Session, alert: Alert, resolution: Resolution, now: datetime) -> None:
    """Resolve without a person, unless it is resolved."""
    if _turn(session, alert.id, "resolved", listing.LIVE, now, resolution=resolution):
        _remember(session, alert.id, "resolved", now, note=resolution)


def reopen(session: Session, alert: Alert, now: datetime) -> None:
    """Spend is over the line again; nobody is told a second time.

    It escalates as before, unless somebody acknowledged it or it escalated already.
    """
    heard = {change.change for change in listing.history(session, alert.id)}
    due_at = None
    if alert.escalate_after and not heard & {"acknowledged", "escalated"}:
        due_at = now + timedelta(minutes=alert.escalate_after)
    if _turn(session, alert.id, "open", ("resolved",), now, due_at=due_at):
        _remember(session, alert.id, "reopened", now)


def acknowledge(session: Session, alert_id: int, *, by: str, note: str, now: datetime) -> Alert:
    """Somebody is at it: it does not escalate. Raises BadInputError."""
    return _by_hand(session, alert_id, "acknowledged", by=by, note=note, now=now)


def snooze(
    session: Session, alert_id: int, *, until: datetime, by: str, note: str, now: datetime
) -> Alert:
    """Quiet until a moment, then open again and told once more. Raises BadInputError."""
    if not now < until <= now + _LONGEST_SNOOZE:
        raise BadInputError(
            f"{until.isoformat()} is not a moment of the next {_LONGEST_SNOOZE.days} days."
        )
    return _by_hand(session, alert_id, "snoozed", by=by, note=note, now=now, due_at=until)


def resolve(session: Session, alert_id: int, *, by: str, note: str, now: datetime) -> Alert:
    """It is dealt with; it stays resolved for its period. Raises BadInputError."""
    return _by_hand(session, alert_id, "resolved", by=by, note=note, now=now, resolution="by_hand")


def replay(
    session: Session, alert_id: int, *, by: str, now: datetime, channel: str | None = None
) -> int:
    """Send again what ended, with the same ids; channel: to it, also when it never had it.

    How many messages leave. Raises BadInputError.
    """
    alert = listing.find(session, alert_id)
    again = messages.replay(session, alert, now, channel)
    if again:
        _remember(session, alert_id, "replayed", now, by=by, note=channel or "")
    return again


def wake(session: Session, now: datetime, most: int) -> list[Alert]:
    """Escalate what nobody acknowledged in time, end snoozes, and tell of both; the alerts."""
    ids = list(session.scalars(query("alerts", "ripe"), {"now": now, "most": most}))
    # Below their lock, in a statement of its own.
    for alert in listing.alerts(session, ids=ids, most=most):
        if alert.state == "snoozed":
            again = alert.escalate_after and now + timedelta(minutes=alert.escalate_after)
            _turn(session, alert.id, "open", ("snoozed",), now, due_at=again or None)
            _remember(session, alert.id, "snooze_ended", now)
        else:
            _turn(session, alert.id, "escalated", ("open",), now)
            _remember(session, alert.id, "escalated", now)
    woken = sorted(listing.alerts(session, ids=ids, most=most), key=attrgetter("id"))
    types = {"escalated": messages.ESCALATED, "open": messages.REMINDER}
    messages.put(session, [(alert, types[alert.state]) for alert in woken], now)
    return woken


def _by_hand(
    session: Session,
    alert_id: int,
    state: State,
    *,
    by: str,
    note: str,
    now: datetime,
    resolution: Resolution | None = None,
    due_at: datetime | None = None,
) -> Alert:
    notes.check(note, _MOST_NOTE)
    alert = listing.find(session, alert_id)
    if not _turn(
        session, alert_id, state, listing.LIVE, now,
        by=by, note=note, resolution=resolution, due_at=due_at,
    ):  # fmt: skip
        # Somebody was faster, or it was resolved all along.
        alert = listing.find(session, alert_id)
        if state == "resolved" == alert.state:
            return alert
        raise ConflictError(f"Alert {alert_id} is resolved ({alert.resolution}) and stays so.")
    _remember(session, alert_id, state, now, by=by, note=note, until=due_at)
    return listing.find(session, alert_id)


def _turn(
    session: Session,
    alert_id: int,
    state: State,
    from_states: Collection[str],
    now: datetime,
    *,
    by: str = "",
    note: str = "",
    resolution: Resolution | None = None,
    due_at: datetime | None = None,
) -> bool:
    binds = {
        "id": alert_id,
        "state": state,
        "from_states": list(from_states),
        "now": now,
        "by": by,
        "note": note,
        "resolution": resolution,
        "due_at": due_at,
    }
    return session.scalar(query("alerts", "turn"), binds) is not None


def _remember(
    session: Session,
    alert_id: int,
    change: str,
    now: datetime,
    *,
    by: str = "",
    note: str = "",
    until: datetime | None = None,
) -> None:
    binds = {"id": alert_id, "now": now, "change": change, "by": by, "note": note, "until": until}
    session.execute(query("alerts", "remember"), binds)
    feed.put_alert(session, alert_id, change, by=by)


def _values(crossing: Crossing, contributors: Contributors, now: datetime) -> dict[str, object]:
    budget, line, expected = crossing.budget, crossing.line, crossing.forecast
    return {
        "budget_id": budget.id,
        "version": budget.version,
        "arming": budget.arming,
        "period_start": crossing.span.first,
        "basis": line.basis,
        "threshold": line.threshold,
        "line": line.dollars,
        "severity": line.severity,
        "spend": crossing.spend,
        "unpriced": crossing.unpriced,
        "limit_dollars": crossing.limit,
        "forecast": None
        if expected is None
        else json.dumps(
            {name: plain(getattr(expected, name)) for name in ("expected", "low", "high")}
        ),
        "contributors": json.dumps(
            {
                dimension: [{"value": value, "spend": plain(spend)} for value, spend in most]
                for dimension, most in contributors.items()
            }
        ),
        "together": list(crossing.together),
        "now": now,
        "escalate_after": line.escalate_after,
        "escalate_to": list(line.escalate_to),
    }
