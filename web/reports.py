"""What was spent: by provider and model as one list, and by anything, as JSON and CSV."""

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson
from fastapi import APIRouter

from spend import reports
from spend.amounts import plain
from spend.errors import BadInputError
from spend.facts import FIGURES
from spend.reports import Place, SpendLine
from spend.ticks import Counted
from web import asking, narrowing, sheets
from web.calls import Answer, Call, Calls, Door
from web.described import reports as described
from web.refusals import invalid

MOST = 10_000
USUAL = 100
MOST_GROUPS = 6
_LONGEST = 100  # characters of a cost in `after`


def aggregate(call: Call) -> Answer:
    """Spend of all time by provider and model, the dearest first.

    `records` is how many are in `data`. A cost is a text with every digit, and at least that where
    some requests are `unpriced`.
    """
    chosen = narrowing.only(call, "money", "limit", "after")
    as_numbers = asking.one_of(call, "money", ("text", "number")) == "number"
    most = asking.count(call, usual=MOST, most=MOST)
    after = _place(call, 2)
    with call.looking() as session:
        found = reports.summary(session, most + 1, after, only=chosen)
        counted = session.info["counted"]
    shown = found[:most]
    data = [
        {
            "provider": line.group[0],
            "model": line.group[1],
            "total_cost": float(line.total_cost) if as_numbers else plain(line.total_cost),
            "unpriced": line.unpriced,
        }
        for line in shown
    ]
    following = _next(found, most)
    return Answer(
        {"records": len(data), "data": data, "next": following, **narrowing.freshness(counted)}
    )


def spend(call: Call) -> Answer:
    """Spend of a time by anything, the dearest first, with its total and how fresh it is.

    What is not attributed is a line of its own, so that lines add up to the total; but for tags: a
    request is in a line for each of its tags, and once in the total. A name of a group with a value
    asks for these requests only, and an empty value for those that have none.
    """
    chosen = narrowing.only(call, "by", "from", "to", "zone", "limit", "after", "format")
    as_csv = sheets.wanted(call)
    by = _groups(call)
    most = asking.count(call, usual=USUAL, most=MOST)
    after = _place(call, len(by))
    zone = call.query.get("zone", "UTC")
    with call.looking() as session:
        try:
            since, until = narrowing.span(session, call, zone)
            named: dict[str, Any] = {"since": since, "until": until, "only": chosen}
            found = reports.page(session, by, most + 1, after, zone=zone, **named)
            if after is None and len(found) <= most and not reports.overlaps(by):
                whole = reports.added(found)
            else:
                whole = reports.total(session, **named)
        except BadInputError as error:
            raise invalid(str(error)) from None
        counted = session.info["counted"]
    following = _next(found, most)
    if as_csv:
        rows = [(line.group, [_figures(line)[name] for name in FIGURES]) for line in found[:most]]
        content = sheets.written([*by, *FIGURES], rows)
        return Answer(content, headers=_headers(call, whole, counted, following), kind=sheets.CSV)
    return Answer(
        {
            "by": by,
            "zone": zone,
            "from": since and since.isoformat(),
            "to": until and until.isoformat(),
            "only": {name: list(values) for name, values in chosen.items()},
            "data": [{**_group(by, line), **_figures(line)} for line in found[:most]],
            "total": _figures(whole),
            "next": following,
            **narrowing.freshness(counted),
        },
        headers={"Vary": "Accept"},
    )


def _group(by: Sequence[str], line: SpendLine) -> dict[str, str | None]:
    return dict(zip(by, line.group, strict=True))


def _figures(line: SpendLine) -> dict[str, Any]:
    return {
        "requests": line.requests,
        "input_tokens": line.input_tokens,
        "output_tokens": line.output_tokens,
        "unpriced": line.unpriced,
        "total_cost": plain(line.total_cost),
        "at_least": line.unpriced > 0,
    }


def _headers(
    call: Call, whole: SpendLine, counted: Counted | None, following: str | None
) -> dict[str, str]:
    """What JSON says beside the lines, for CSV, which has only lines."""
    headers = {
        **sheets.headers("spend"),
        "Spendbeat-Total-Cost": plain(whole.total_cost),
        "Spendbeat-Unpriced": str(whole.unpriced),
        "Spendbeat-At-Least": "true" if whole.unpriced else "false",
    }
    if counted:
        headers["Spendbeat-Counted-To"] = counted.at.astimezone(UTC).isoformat()
    if following:
        headers["Link"] = sheets.link(call, following)
    return headers


def _groups(call: Call) -> list[str]:
    by = [name.strip() for name in call.query.get("by", "provider,model").split(",")]
    if len(by) > MOST_GROUPS:
        raise invalid(f"by has {len(by)} names; it can have {MOST_GROUPS}.")
    if twice := next((name for name in by if by.count(name) > 1), None):
        raise invalid(f"by has {twice!r:.60} twice.")
    return by


def _next(found: Sequence[SpendLine], most: int) -> str | None:
    """`after` of the next page, where there is one line more than fits."""
    if len(found) <= most:
        return None
    return next_place(found[most - 1])


def next_place(last: SpendLine) -> str:
    """What place() reads: where a page ends whose last line this is."""
    return base64.urlsafe_b64encode(orjson.dumps([plain(last.total_cost), *last.group])).decode()


def _place(call: Call, keys: int) -> Place | None:
    said = call.query.get("after")
    return None if said is None else place(said, keys)


def place(said: str, keys: int) -> Place:
    """Where a page of lines with so many keys ended. Raises Refusal."""
    try:
        match orjson.loads(base64.b64decode(said.encode(), b"-_", validate=True)):
            case [str(cost), *group] if len(cost) <= _LONGEST and len(group) == keys:
                found = Place(Decimal(cost), tuple(group))
                if found.cost.is_finite() and "e" not in cost.lower() and _texts(group):
                    return found
    except (binascii.Error, ValueError, InvalidOperation):
        pass
    raise invalid("after is what the page before this one gave as next, of the same `by`.")


def _texts(group: Sequence[object]) -> bool:
    return all(v is None or (isinstance(v, str) and "\0" not in v) for v in group)


DOORS = (
    Door(
        "GET", "/aggregate", "Spend by provider and model", aggregate, ("read",), "report",
        extra=described.AGGREGATE, tenants=True,
    ),
    Door(
        "GET", "/spend", "Spend by anything", spend, ("read",), "report", extra=described.SPEND,
        tenants=True,
    ),
)  # fmt: skip


def router(calls: Calls) -> APIRouter:
    """GET /aggregate and GET /spend."""
    return calls.router(DOORS)
