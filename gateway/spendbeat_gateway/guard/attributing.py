"""Who a call is booked for: tags that name a field, and Spendbeat's attribution rules.

What the service does with a request when it books it, done before the call, so that the budgets
that are held are those that it will count in. spend/attribution/ has the same for the ledger, and
tests/unit/test_guard_attribution.py compares them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

FIELDS = ("organization", "project", "sprint", "agent", "user_id", "team", "api_key")
_FIELD_OF_KEY = {
    **{name: name for name in ("organization", "project", "sprint", "agent", "user_id", "team")},
    "org": "organization",
    "user": "user_id",
}
_SHORT = {"user_id": "user"}


def spread(said: Mapping[str, object], tags: Iterable[str]) -> dict[str, object]:
    """The fields with those that tags such as `project:alpha` name, where they are not said.

    What is said wins, and the tag stays one; `tags` are those that are left.
    """
    made: dict[str, object] = {
        name: value for name in FIELDS if (value := said.get(name)) not in (None, "")
    }
    named: dict[str, str] = {}
    rest: list[str] = []
    for tag in tags:
        key, _, value = tag.partition(":")
        value = value.strip()
        field = _FIELD_OF_KEY.get(key.strip().lower()) if value else None
        if field is None or named.setdefault(field, value) != value:
            rest.append(tag)
    for field, value in named.items():
        if made.setdefault(field, value) != value:
            rest.append(f"{_SHORT.get(field, field)}:{value}")
    made["tags"] = rest
    return made


def fill(
    rules: Sequence[Mapping[str, Any]],
    said: Mapping[str, object],
    provider: str,
    model: str,
    now: float,
) -> dict[str, object]:
    """The fields with what rules know of those that are missing; `now` in seconds since 1970.

    rules: {"id", "match_field", "match_value", "set_field", "set_value", "priority", "from",
    "to"}; a match_value that ends in * is a beginning, from and to are seconds or None. What one
    rule fills, another may match.
    """
    made = dict(said)
    at = [rule for rule in rules if _holds(rule, now)]
    while at:
        best: dict[str, Mapping[str, Any]] = {}
        for rule in at:
            field = rule["set_field"]
            if made.get(field) not in (None, "") or not _matches(rule, made, provider, model):
                continue
            if field not in best or _rank(rule) < _rank(best[field]):
                best[field] = rule
        if not best:
            break
        made.update({field: rule["set_value"] for field, rule in best.items()})
    return made


def _holds(rule: Mapping[str, Any], now: float) -> bool:
    start, end = rule.get("from"), rule.get("to")
    return (start is None or start <= now) and (end is None or now < end)


def _matches(
    rule: Mapping[str, Any], said: Mapping[str, object], provider: str, model: str
) -> bool:
    wanted = rule["match_value"]
    values = _values(rule["match_field"], said, provider, model)
    if wanted.endswith("*"):
        return any(value.startswith(wanted[:-1]) for value in values)
    return wanted in values


def _values(field: str, said: Mapping[str, object], provider: str, model: str) -> Iterator[str]:
    if field == "provider":
        yield provider
    elif field == "model":
        yield model
    elif field == "tag":
        tags = said.get("tags")
        yield from (
            (tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list | tuple) else ()
        )
    elif isinstance(value := said.get(field), str) and value:
        yield value


def _rank(rule: Mapping[str, Any]) -> tuple[int, bool, int, int]:
    """The lowest goes first: priority, exact before beginning, longer before shorter, newer."""
    wanted = rule["match_value"]
    return -rule["priority"], wanted.endswith("*"), -len(wanted), -rule["id"]
