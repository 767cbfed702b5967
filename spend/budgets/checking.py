"""What makes no sense in a budget, said before it is kept."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import Channel
from spend import notes, zones
from spend.attribution import tags
from spend.budgets import guarding
from spend.budgets.definition import BASES, SCOPE_FIELDS, SEVERITIES, Definition, Threshold
from spend.errors import BadInputError
from spend.periods import KINDS

MAX_TEXT = 512
MAX_NAME = 100
MAX_NOTE = 2000
MAX_THRESHOLDS = 50
# Digits before the point in numeric(28, 12), and after it.
_MOST = Decimal(10) ** 15
_PLACES = 12
_SMALLEST = Decimal(1).scaleb(-_PLACES)
_MOST_MINUTES = 30 * 24 * 60


def check(definition: Definition) -> None:
    """Raises BadInputError, which names the budget and what is wrong."""
    try:
        check_name(definition.name)
        check_scope(definition.scope)
        _period(definition)
        _limits(definition)
        _thresholds(definition)
        guarding.check(definition)
        notes.check(definition.note, MAX_NOTE)
    except BadInputError as error:
        raise BadInputError(f"Budget {definition.name[:MAX_NAME]!r}: {error}") from None


def check_names(session: Session, definitions: Iterable[Definition]) -> None:
    """Zones that are not known, and channels that do not exist. Raises BadInputError."""
    definitions = list(definitions)
    for zone in sorted({definition.zone for definition in definitions}):
        zones.known(session, zone)
    named = {
        channel
        for definition in definitions
        for threshold in definition.thresholds
        for channel in (*threshold.channels, *threshold.escalate_to)
    }
    if not named:
        return
    live = select(Channel.name).where(Channel.state != "removed", Channel.name.in_(named))
    if unknown := sorted(named - set(session.scalars(live))):
        raise BadInputError(f"There is no channel {unknown[0]!r}; see 'spendbeat channels list'.")


def check_name(name: str) -> None:
    """Raises BadInputError for a name that nobody could type."""
    if not name.isprintable() or not name or name != name.strip() or len(name) > MAX_NAME:
        raise BadInputError(
            f"a name has 1 to {MAX_NAME} printable characters and no spaces around them."
        )
    if name.isdigit():
        raise BadInputError("a name of digits alone could be a budget's number.")


def check_scope(scope: Mapping[str, str]) -> None:
    """Raises BadInputError for what no request can be in."""
    for field, value in scope.items():
        if field not in SCOPE_FIELDS:
            raise BadInputError(
                f"a scope cannot have {field!r}; choose from {', '.join(SCOPE_FIELDS)}."
            )
        if not value or value != value.strip() or "\0" in value or len(value) > MAX_TEXT:
            raise BadInputError(
                f"{field} {value[:40]!r} is not a value of 1 to {MAX_TEXT} characters without"
                " spaces around them."
            )
    found, _ = tags.split([scope[name] for name in ("tag",) if name in scope])
    for field, value in found.items():
        raise BadInputError(
            f"the tag {scope['tag']!r} is booked as a field, so no request has it as"
            f" a tag; use {field}={value}."
        )


def _period(definition: Definition) -> None:
    if definition.period not in KINDS:
        raise BadInputError(
            f"a period cannot be {definition.period!r}; choose from {', '.join(KINDS)}."
        )
    if not 1 <= definition.week_start <= 7:  # noqa: PLR2004 - days of a week
        raise BadInputError("a week starts on a day from monday to sunday.")
    dates = (definition.starts_on, definition.ends_on)
    if definition.period != "range":
        if dates != (None, None):
            raise BadInputError(f"a {definition.period} has no dates of its own; use range.")
    elif definition.starts_on is None or definition.ends_on is None:
        raise BadInputError("a range needs the day it starts and the day after its end.")
    elif definition.ends_on <= definition.starts_on:
        raise BadInputError("a range must end after it starts.")


def _limits(definition: Definition) -> None:
    amounts = (definition.soft_limit, definition.hard_limit, definition.raise_by)
    for amount in (*amounts, definition.allowance, definition.ceiling):
        if amount is not None:
            _amount(amount)
    soft, hard, more = amounts
    if soft is not None and hard is not None and soft > hard:
        raise BadInputError(f"its soft limit {soft} is above its hard limit {hard}.")
    if (more is None) != (definition.raise_until is None):
        raise BadInputError("a raise needs an amount and a date until which it holds.")
    if more is not None and soft is None and hard is None:
        raise BadInputError("there is no limit to raise.")


def _amount(amount: Decimal) -> None:
    if not amount.is_finite() or not 0 < amount < _MOST:
        raise BadInputError(f"{amount:.40} is not an amount of dollars above 0.")
    if amount != amount.quantize(_SMALLEST):
        raise BadInputError(f"{amount:.40} has more than {_PLACES} places.")


def _thresholds(definition: Definition) -> None:
    if len(definition.thresholds) > MAX_THRESHOLDS:
        raise BadInputError(f"it has more than {MAX_THRESHOLDS} thresholds.")
    for threshold in definition.thresholds:
        _threshold(threshold, definition)
        for channel in (*threshold.channels, *threshold.escalate_to):
            if not channel.isprintable():
                raise BadInputError(f"{channel[:MAX_NAME]!r} cannot be a channel's name.")
    if len(set(definition.thresholds)) < len(definition.thresholds):
        raise BadInputError("a threshold is there twice.")


def _threshold(threshold: Threshold, definition: Definition) -> None:
    if threshold.basis not in BASES:
        raise BadInputError(f"a threshold is of {' or '.join(BASES)}, not {threshold.basis!r}.")
    if threshold.severity not in SEVERITIES:
        raise BadInputError(
            f"a severity is one of {', '.join(SEVERITIES)}, not {threshold.severity!r}."
        )
    if (threshold.percent is None) == (threshold.amount is None):
        raise BadInputError("a threshold is a percentage or an amount, one of the two.")
    _amount(threshold.percent if threshold.amount is None else threshold.amount)  # type: ignore[arg-type] # one of the two is there
    if threshold.percent is not None and definition.soft_limit is definition.hard_limit is None:
        raise BadInputError(
            "a threshold in percent needs a limit, soft or hard; without one, give thresholds as"
            " amounts, or none."
        )
    if threshold.escalate_after is None:
        if threshold.escalate_to:
            raise BadInputError("escalate-to=NAME needs escalate=MINUTESm, such as escalate=30m.")
    elif not 1 <= threshold.escalate_after <= _MOST_MINUTES:
        raise BadInputError("a threshold escalates after 1 minute to 30 days.")
    if threshold.basis == "forecast" and definition.period == "total":
        raise BadInputError("all of time has no end to forecast; use a threshold of actual spend.")
