"""What an entry of the feed tells to whom: decided for each entry and each listener."""

from decimal import Decimal
from typing import Any

from spend.amounts import plain
from spend.feed import Entry
from spend.tenancy import Binding

_SHARES = ("organization", "team", "api_key")


def told(entry: Entry, binding: Binding | None) -> dict[str, Any] | None:
    """The data of an entry; None where nothing of it is for this listener.

    A bound one sees its own lines and what they add up to, and alerts of budgets that count
    nothing but what it may see.
    """
    match entry.kind:
        case "spend":
            return _spend(entry.body, binding)
        case "alert":
            return _alert(entry.body, binding)
        case _:
            return {}


def _spend(body: dict[str, Any], binding: Binding | None) -> dict[str, Any] | None:
    mine = _matching(body["lines"], binding)
    rest = body["rest"] if binding is None else None
    if not mine and rest is None:
        return None
    counted = [line[3:] for line in mine] + ([rest[1:]] if rest else [])
    return {
        "provider": body["provider"],
        **_figures([sum(column) for column in zip(*map(_numbers, counted), strict=True)]),
        "counted_to": body["counted_to"],
        "lines": [
            {**dict(zip(_SHARES, line[:3], strict=True)), **_figures(_numbers(line[3:]))}
            for line in mine
        ],
        "rest": rest and {"lines": rest[0], **_figures(_numbers(rest[1:]))},
    }


def _matching(lines: list[list[Any]], binding: Binding | None) -> list[list[Any]]:
    """Those that Binding.matches, found in a tenth of the time: this is asked for every batch and
    binding, where all else waits.
    """
    for place, name in enumerate(_SHARES):
        value = getattr(binding, name, None)
        if value is not None:
            lines = [line for line in lines if line[place] == value]
    return lines


def _numbers(counted: list[Any]) -> tuple[int, int, Decimal]:
    requests, unpriced, cost = counted
    return requests, unpriced, Decimal(cost)


def _figures(numbers: Any) -> dict[str, Any]:  # noqa: ANN401 - three numbers
    requests, unpriced, cost = numbers
    return {"requests": requests, "unpriced": unpriced, "total_cost": plain(Decimal(cost))}


def _alert(body: dict[str, Any], binding: Binding | None) -> dict[str, Any] | None:
    if binding is None:
        return {**body["alert"], "by": body["by"]}
    scope = body["scope"]
    if not binding.matches(*(scope.get(name) for name in _SHARES)):
        return None
    # Who of the operators did it is not theirs to know.
    alert: dict[str, Any] = body["alert"]
    return alert
