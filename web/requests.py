"""Requests one by one, as JSON and CSV: what a figure is made of."""

from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter

from models import ATTRIBUTION_FIELDS, STATUSES, TOKEN_CLASSES
from spend import requests
from spend.errors import BadInputError, UnknownError
from spend.ledger_rows import IDS, Place
from spend.ledger_words import as_json, begun_of, detail_as_json, next_place, place_of
from web import asking, narrowing, sheets
from web.calls import Answer, Call, Calls, Door
from web.described import requests as described
from web.refusals import invalid

MOST = 1000
USUAL = 100
USUAL_DAYS = timedelta(days=7)
TEXTS = (
    "started_at", "created_at", "provider", "model", "status", "service_tier", *IDS,
    *ATTRIBUTION_FIELDS, "tags", "priced_by", "priced_version", "priced_assumption",
)  # fmt: skip
FIGURES = ("id", *TOKEN_CLASSES, "adjustments", "booked_usd", "cost_usd")
_MOST_ID = 2**63 - 1
__all__ = ["listed", "next_place", "one", "place", "router"]
_NAMES = ("status", "unpriced", *IDS, "from", "to", "zone", "limit", "after", "format")


def listed(call: Call) -> Answer:
    """Requests that began in a time, the newest first, each with its cost net of corrections.

    A request whose cost is not known has null, never 0. Without `from` it is the seven days before
    `to`, or before now; but a `request_id` is looked for in all of time. A page can be short, and
    even empty, while `next` says where to go on: a call reads no more of the ledger than a few
    seconds allow. A request appears when it is counted.
    """
    chosen = narrowing.only(call, *_NAMES)
    as_csv = sheets.wanted(call)
    most = asking.count(call, usual=USUAL, most=MOST)
    named: dict[str, Any] = {
        "only": chosen,
        "status": asking.one_of(call, "status", STATUSES),
        "unpriced": asking.flag(call, "unpriced") if "unpriced" in call.query else None,
        "ids": {name: call.query[name] for name in IDS if name in call.query},
        "after": place(call),
    }
    with call.looking() as session:
        try:
            since, until = narrowing.span(session, call, call.query.get("zone", "UTC"))
            since = since or _begun(call) or _usual(until, named["ids"])
            found = requests.page(session, since=since, until=until, most=most, **named)
        except BadInputError as error:
            raise invalid(str(error)) from None
        counted = session.info["counted"]
    following = found.following and next_place(found.following, since)
    if as_csv:
        headers = sheets.headers("requests")
        if following:
            headers["Link"] = sheets.link(call, following)
        rows = [_cells(as_json(request)) for request in found.requests]
        return Answer(sheets.written([*TEXTS, *FIGURES], rows), headers=headers, kind=sheets.CSV)
    return Answer(
        {
            "from": since and since.isoformat(),
            "to": until and until.isoformat(),
            "only": chosen,
            "data": [as_json(request) for request in found.requests],
            "next": following,
            **narrowing.freshness(counted),
        },
        headers={"Vary": "Accept"},
    )


def one(call: Call) -> Answer:
    """One request by its `id`, with what corrected it and the costs that were said, not booked."""
    asking.only(call)
    said = call.path["id"]
    if not (said.isascii() and said.isdigit() and int(said[:20]) <= _MOST_ID):
        raise UnknownError(f"There is no request {said!r:.60}.")
    with call.looking() as session:
        found = requests.one(session, int(said))
    return Answer(detail_as_json(found))


def place(call: Call) -> Place | None:
    """Where the page before this one ended. Raises Refusal."""
    said = call.query.get("after")
    try:
        return None if said is None else place_of(said)
    except BadInputError as error:
        raise invalid(str(error)) from None


def _begun(call: Call) -> datetime | None:
    """Where the first page began: seven days before now are others by the time of the next."""
    said = call.query.get("after")
    return None if said is None else begun_of(said)


def _usual(until: datetime | None, ids: object) -> datetime | None:
    if isinstance(ids, dict) and "request_id" in ids:
        return None
    try:
        return (until or datetime.now(UTC)) - USUAL_DAYS
    except OverflowError:
        return None


def _cells(said: dict[str, Any]) -> tuple[list[str | None], list[int | str]]:
    texts = {**said, "tags": ",".join(said["tags"]) or None}
    # A cost that is not known is an empty cell, and no figure at all.
    figures = ["" if said[name] is None else said[name] for name in FIGURES]
    return [texts[name] for name in TEXTS], figures


DOORS = (
    Door(
        "GET", "/requests", "Requests one by one", listed, ("read",), "report",
        extra=described.LIST, tenants=True,
    ),
    Door(
        "GET", "/requests/{id}", "Show a request", one, ("read",), "report",
        extra=described.ONE, tenants=True,
    ),
)  # fmt: skip


def router(calls: Calls) -> APIRouter:
    """GET /requests and one of them."""
    return calls.router(DOORS)
