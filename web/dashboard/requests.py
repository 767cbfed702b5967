"""Requests one by one: those of a look, and one of them with all that is known."""

from datetime import UTC, datetime, timedelta

from spend import requests
from spend.errors import BadInputError, UnknownError
from web import asking
from web.calls import Call
from web.dashboard import look as looks
from web.dashboard import paging
from web.dashboard.overview import framed
from web.dashboard.rendering import Page
from web.refusals import invalid

_MOST = 50
_STATUSES = ("success", "failure")
_IDS = ("request_id", "trace_id", "session_id", "end_user")
_TIPS = ("status", "unpriced")
_MOST_DIGITS = 18
_NEAR = timedelta(days=7)


def listed(call: Call) -> Page:
    """A page of requests, the newest first."""
    status = next(iter(asking.choices(call, "status", _STATUSES)), None)
    unpriced = asking.flag(call, "unpriced") if "unpriced" in call.query else None
    ids = _ids(call)
    with call.looking() as session:
        look = looks.read(session, call.query, datetime.now(UTC))
        try:
            found = requests.page(
                session,
                since=look.since,
                until=look.until,
                only=look.only,
                status=status,
                unpriced=unpriced,
                ids=ids,
                most=_MOST,
                after=paging.after_request(call.query.get("after")),
            )
        except BadInputError as error:
            raise invalid(str(error)) from None
        said = framed(session, look, empty=not found.requests)
    narrowed = [(name, call.query[name]) for name in _TIPS if call.query.get(name)]
    narrowed += [(name, value) for name, value in ids.items()]
    following = paging.following_request(found.following) if found.following else None
    said |= {"requests": found.requests, "following": following, "narrowed": narrowed}
    return Page("requests.html", {**said, "paged": "after" in call.query})


def _ids(call: Call) -> dict[str, str]:
    """What requests are found by: ?trace_id=x, or as a form without scripts says it."""
    found = {name: call.query[name] for name in _IDS if call.query.get(name)}
    kind = next(iter(asking.choices(call, "find", _IDS)), None)
    if kind and (said := call.query.get("id", "").strip()):
        found[kind] = said
    return found


def one(call: Call) -> Page:
    """One request, by the id of its row. Raises UnknownError."""
    said = call.path["id"]
    if not (said.isascii() and said.isdigit() and len(said) <= _MOST_DIGITS):
        raise UnknownError(f"There is no request {said!r:.60}.")
    with call.looking() as session:
        look = looks.read(session, call.query, datetime.now(UTC))
        detail = requests.one(session, int(said))
        shown = {**framed(session, look), "detail": detail}
    return Page("request.html", {**shown, "around": _around(look, detail.request.started_at)})


def _around(look: looks.Look, at: datetime) -> dict[str, str]:
    """Two weeks with a request in the middle: links to others like it lead to it, too."""
    day = at.astimezone(look.zone).date()
    days = {"from": day - _NEAR, "through": day + _NEAR}
    return {name: str(value) for name, value in days.items()} | {"zone": look.zone.key}
