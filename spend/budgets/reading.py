"""A budget as people write it: in a file, as options, over HTTP."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from spend.amounts import plain
from spend.budgets import guarding
from spend.budgets.definition import BASES, SEVERITIES, Definition, Threshold
from spend.errors import BadInputError
from spend.periods import WEEKDAYS, midnight

THRESHOLD_FIELDS = ("at", "basis", "severity", "channels", "escalate", "escalate_to")
_UNITS = {"m": 1, "h": 60, "d": 24 * 60}
_FIRST_YEAR, _LAST_YEAR = 1970, 9000


def read(said: Mapping[str, Any], base: Definition | None = None) -> Definition:
    """A definition from FIELDS; what is not said stays as in `base`. None or 'none' takes away.

    Raises BadInputError for what cannot be read; whether it makes sense is check()'s affair.
    """
    if unknown := sorted(map(str, said.keys() - set(FIELDS))):
        raise BadInputError(f"A budget has no {unknown[0]!r}; it has {', '.join(FIELDS)}.")
    if base is None:
        if "name" not in said:
            raise BadInputError("A budget needs a name.")
        base = Definition(_text(said["name"], "name"))
    changes = {
        column: reader(said[field], field)
        for field, (column, reader) in _READERS.items()
        if field in said
    }
    if changes.get("period", base.period) != "range":
        changes = {"starts_on": None, "ends_on": None, **changes}
    if "raise" in said:
        changes |= _raise(said["raise"], changes.get("zone", base.zone))
    return replace(base, **changes)


def written(definition: Definition) -> dict[str, Any]:
    """The same in FIELDS, as JSON and YAML can hold it; read() gives the definition back."""
    found: dict[str, Any] = {
        "name": definition.name,
        "scope": dict(definition.scope),
        "period": definition.period,
        "zone": definition.zone,
    }
    # Of another period it decides nothing, and is kept for when that becomes a week.
    if definition.period == "week" or definition.week_start != 1:
        found["week_start"] = WEEKDAYS[definition.week_start - 1]
    if definition.period == "range":
        found |= {"from": str(definition.starts_on), "to": str(definition.ends_on)}
    for name in ("soft_limit", "hard_limit"):
        value = getattr(definition, name)
        found[name] = None if value is None else plain(value)
    found["thresholds"] = [described(threshold) for threshold in definition.thresholds]
    found["raise"] = None
    if definition.raise_by is not None and definition.raise_until is not None:
        local = definition.raise_until.astimezone(ZoneInfo(definition.zone))
        found["raise"] = {"by": plain(definition.raise_by), "until": local.isoformat()}
    found["note"] = definition.note
    found |= guarding.written(definition)
    return found


def described(threshold: Threshold) -> str:
    """A threshold in one word, which threshold() reads: 80%,forecast,critical,channel=ops."""
    words = [threshold.size, threshold.basis, threshold.severity]
    words += [f"channel={name}" for name in threshold.channels]
    if threshold.escalate_after is not None:
        words.append(f"escalate={threshold.escalate_after}m")
    words += [f"escalate-to={name}" for name in threshold.escalate_to]
    return ",".join(words)


def threshold(said: object) -> Threshold:
    """80%, or 500,forecast,critical,channel=ops,escalate=30m; or a mapping of THRESHOLD_FIELDS."""
    if isinstance(said, Mapping):
        if unknown := sorted(map(str, said.keys() - set(THRESHOLD_FIELDS))):
            raise BadInputError(
                f"A threshold has no {unknown[0]!r}; it has {', '.join(THRESHOLD_FIELDS)}."
            )
        said_words = [str(said[name]) for name in ("basis", "severity") if said.get(name)]
        said_words += [f"channel={name}" for name in _names(said.get("channels"))]
        if said.get("escalate"):
            said_words.append(f"escalate={said['escalate']}")
        said_words += [f"escalate-to={name}" for name in _names(said.get("escalate_to"))]
        return _threshold(said.get("at"), said_words)
    size, *words = str(said).split(",")
    return _threshold(size, words)


def amount(said: object, name: str) -> Decimal:
    """Dollars, through their shortest text. Raises BadInputError."""
    try:
        # Never a float: its shortest text is what was meant. A bool's is no number.
        return Decimal(str(said).strip().removeprefix("$"))
    except InvalidOperation:
        raise BadInputError(f"{name} {said!r} is not an amount such as 250 or 99.50.") from None


def zone(said: object, field: str = "zone") -> str:
    """The name of a time zone. Raises BadInputError."""
    name = _text(said, field)
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise BadInputError(
            f"{name!r} is not a time zone; use an IANA name such as 'Europe/Berlin'."
        ) from None
    return name


def _threshold(size: object, words: Sequence[str]) -> Threshold:
    given = str(size).strip()
    size_said = amount(given.removesuffix("%"), "threshold")
    found: dict[str, Any] = {"percent" if given.endswith("%") else "amount": size_said}
    named: dict[str, list[str]] = {"channel": [], "escalate-to": []}
    for word in (word.strip() for word in words):
        key, _, value = word.partition("=")
        if word in BASES:
            found["basis"] = word
        elif word in SEVERITIES:
            found["severity"] = word
        elif key in named and value:
            named[key].append(value)
        elif key == "escalate" and value:
            found["escalate_after"] = _minutes(value)
        else:
            raise BadInputError(
                f"{word!r} says nothing about a threshold; it can be {', '.join(BASES)},"
                f" {', '.join(SEVERITIES)}, channel=NAME, escalate=30m or escalate-to=NAME."
            )
    return Threshold(
        **found,
        channels=tuple(dict.fromkeys(named["channel"])),
        escalate_to=tuple(dict.fromkeys(named["escalate-to"])),
    )


def _minutes(said: str) -> int:
    number, unit = said[:-1], said[-1:]
    if not (number.isascii() and number.isdigit() and len(number) < 7 and unit in _UNITS):  # noqa: PLR2004 - of a month in minutes five are enough
        raise BadInputError(f"escalate={said:.40} is not a time such as 30m, 2h or 1d.")
    return int(number) * _UNITS[unit]


def _names(said: object) -> Sequence[object]:
    if not said:
        return ()
    return said if isinstance(said, Sequence) and not isinstance(said, str) else (said,)


def _thresholds(said: object, _: str) -> tuple[Threshold, ...]:
    if _none(said):
        return ()
    if isinstance(said, str | Mapping) or not isinstance(said, Sequence):
        raise BadInputError("Thresholds are a list, such as [80%, 100%].")
    return tuple(threshold(item) for item in said)


def _raise(said: object, in_zone: str) -> dict[str, Any]:
    if _none(said):
        return {"raise_by": None, "raise_until": None}
    if not isinstance(said, Mapping) or said.keys() != {"by", "until"}:
        raise BadInputError("A raise has by, an amount, and until, a date.")
    until = said["until"]
    if isinstance(until, str):
        try:
            until = datetime.fromisoformat(until) if len(until) > 10 else date.fromisoformat(until)  # noqa: PLR2004 - a date has ten characters
        except ValueError:
            raise BadInputError(f"{until!r} is not a date such as 2026-12-01.") from None
    if isinstance(until, datetime):
        _usual(until, "until")
        moment = until if until.tzinfo else until.replace(tzinfo=ZoneInfo(in_zone))
    elif isinstance(until, date):
        moment = midnight(_usual(until, "until"), ZoneInfo(in_zone))
    else:
        raise BadInputError(f"{until!r} is not a date such as 2026-12-01.")
    return {"raise_by": amount(said["by"], "raise"), "raise_until": moment}


def scope(said: object, _: str = "") -> dict[str, str]:
    """FIELD: VALUE, one text each. Raises BadInputError."""
    if _none(said) or said == {}:
        return {}
    if not isinstance(said, Mapping):
        raise BadInputError("A scope is FIELD: VALUE, such as {project: shop}.")
    found = {}
    for name, value in said.items():
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise BadInputError(f"{name} in a scope is one text, not {value!r}.")
        found[{"user": "user_id"}.get(str(name), str(name))] = str(value)
    return found


def _weekday(said: object, _: str) -> int:
    name = str(said).strip().lower()
    if name not in WEEKDAYS:
        raise BadInputError(f"week_start {said!r} is not one of {', '.join(WEEKDAYS)}.")
    return WEEKDAYS.index(name) + 1


def _date(said: object, name: str) -> date | None:
    if _none(said):
        return None
    if isinstance(said, date) and not isinstance(said, datetime):
        return _usual(said, name)
    try:
        found = date.fromisoformat(str(said))
    except ValueError:
        raise BadInputError(f"{name} {said!r} is not a date such as 2026-12-01.") from None
    return _usual(found, name)


def _usual(day: date, name: str) -> date:
    """A date that stays one in every time zone. Raises BadInputError."""
    if not _FIRST_YEAR <= day.year <= _LAST_YEAR:
        raise BadInputError(
            f"{name} {day.year:04} is not a year from {_FIRST_YEAR} to {_LAST_YEAR}."
        )
    return day


def _text(said: object, name: str) -> str:
    if not isinstance(said, str):
        raise BadInputError(f"{name} {said!r} is not a text.")
    return said


def _note(said: object, name: str) -> str:
    return "" if said is None else _text(said, name)


def _limit(said: object, name: str) -> Decimal | None:
    return None if _none(said) else amount(said, name)


def _none(said: object) -> bool:
    return said is None or said == "none"


# What reads a field, and the column of a definition that it fills.
_READERS: dict[str, tuple[str, Callable[[object, str], Any]]] = {
    "name": ("name", _text),
    "scope": ("scope", scope),
    "period": ("period", _text),
    "zone": ("zone", zone),
    "week_start": ("week_start", _weekday),
    "from": ("starts_on", _date),
    "to": ("ends_on", _date),
    "soft_limit": ("soft_limit", _limit),
    "hard_limit": ("hard_limit", _limit),
    "thresholds": ("thresholds", _thresholds),
    "note": ("note", _note),
    **guarding.readers(_limit),
}
FIELDS = (*_READERS, "raise")
