"""Alerts as they are kept, and their history."""

from collections.abc import Collection
from dataclasses import asdict, replace
from datetime import UTC, date
from decimal import Decimal
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.orm import Session

from models import ALERT_STATES
from spend.alerts.alert import DIMENSIONS, Alert, Change
from spend.amounts import plain
from spend.budgets.definition import SEVERITIES
from spend.errors import BadInputError, UnknownError
from spend.periods import Calendar, Span, span
from spend.sql import query

LIVE = tuple(state for state in ALERT_STATES if state != "resolved")


def alerts(
    session: Session,
    *,
    ids: Collection[int] | None = None,
    states: Collection[str] | None = None,
    severities: Collection[str] | None = None,
    budget_id: int | None = None,
    before: int | None = None,
    most: int = 100,
) -> list[Alert]:
    """Alerts that fit all that is given, the newest first. before: an id, for the next page.

    Raises BadInputError for a state or severity that there is not.
    """
    _known(states, ALERT_STATES, "state")
    _known(severities, SEVERITIES, "severity")
    binds = {
        "ids": None if ids is None else list(ids),
        "states": None if states is None else list(states),
        "severities": None if severities is None else list(severities),
        "budget_id": budget_id,
        "before": before,
        "most": most,
    }
    return [_alert(row) for row in session.execute(query("alerts", "list"), binds).mappings()]


def counts(session: Session, states: Collection[str]) -> dict[str, int]:
    """How many alerts of these states there are of each severity, the worst first."""
    rows = session.execute(query("alerts", "counts"), {"states": list(states)})
    found = {str(severity): int(count) for severity, count in rows}
    return {severity: found[severity] for severity in reversed(SEVERITIES) if severity in found}


def find(session: Session, alert_id: int) -> Alert:
    """One alert. Raises UnknownError."""
    # What Postgres calls an integer.
    found = alerts(session, ids=[alert_id]) if 0 < alert_id < 2**31 else []
    if not found:
        raise UnknownError(f"There is no alert {alert_id}; see 'spendbeat alerts list --all'.")
    return found[0]


def history(session: Session, alert_id: int) -> list[Change]:
    """What became of an alert, oldest first. Raises UnknownError."""
    find(session, alert_id)
    rows = session.execute(query("alerts", "history"), {"alert": alert_id})
    return [Change(*row) for row in rows]


def as_json(alert: Alert) -> dict[str, Any]:
    """An alert for programs: money as texts, moments with their offset."""
    found = asdict(alert)
    span_ = alert.period
    found["period"] = {
        "first": str(span_.first),
        "end": span_.end and str(span_.end),
        "starts": span_.starts and span_.starts.isoformat(),
        "ends": span_.ends and span_.ends.isoformat(),
        "zone": found.pop("zone"),
    }
    for name in ("line", "spend", "limit"):
        found[name] = None if found[name] is None else plain(found[name])
    if alert.forecast is not None:
        found["forecast"] = dict(
            zip(("expected", "low", "high"), map(plain, alert.forecast), strict=True)
        )
    found["percent"] = None if alert.percent is None else plain(alert.percent)
    found["contributors"] = {
        dimension: [{"value": value, "spend": plain(spend)} for value, spend in most]
        for dimension, most in alert.contributors.items()
    }
    for name in ("raised_at", "state_at", "due_at"):
        found[name] = found[name] and found[name].astimezone(UTC).isoformat()
    return found


def change_as_json(change: Change) -> dict[str, Any]:
    """A row of history for programs."""
    return {
        "at": change.at.isoformat(),
        "change": change.change,
        "by": change.by,
        "note": change.note,
        "until": change.until and change.until.isoformat(),
    }


def _known(given: Collection[str] | None, known: Collection[str], what: str) -> None:
    if unknown := sorted(set(given or ()) - set(known)):
        raise BadInputError(f"{unknown[0]!r:.50} is no {what}: {', '.join(known)}.")


def _span(calendar: Calendar, first: date) -> Span:
    try:
        return span(calendar, first)
    except LookupError:
        # A zone that Python knows no more: its alerts are still listed, told and ended.
        return span(replace(calendar, zone="UTC"), first)


def _alert(row: RowMapping) -> Alert:
    calendar = Calendar(
        row["period"], row["zone"], row["week_start"], row["starts_on"], row["ends_on"]
    )
    forecast = row["forecast"]
    return Alert(
        id=row["id"],
        budget_id=row["budget_id"],
        budget=row["budget"],
        zone=row["zone"],
        period=_span(calendar, row["period_start"]),
        basis=row["basis"],
        threshold=row["threshold"],
        line=row["line"],
        severity=row["severity"],
        spend=row["spend"],
        unpriced=row["unpriced"],
        limit=row["limit_dollars"],
        forecast=None
        if forecast is None
        else (Decimal(forecast["expected"]), Decimal(forecast["low"]), Decimal(forecast["high"])),
        contributors={
            dimension: [
                (one["value"], Decimal(one["spend"])) for one in row["contributors"][dimension]
            ]
            for dimension in DIMENSIONS
            if dimension in row["contributors"]
        },
        together=tuple(row["together"]),
        raised_at=row["raised_at"],
        state=row["state"],
        state_at=row["state_at"],
        state_by=row["state_by"],
        state_note=row["state_note"],
        resolution=row["resolution"],
        arming=row["arming"],
        escalate_after=row["escalate_after"],
        escalate_to=tuple(row["escalate_to"]),
        due_at=row["due_at"],
    )
