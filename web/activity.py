"""What LiteLLM's proxy is asked about spend, answered in its shapes with the figures of /spend."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from fastapi import APIRouter
from sqlalchemy.orm import Session

from spend import filters, reports, zones
from spend.errors import BadInputError
from spend.filters import Only
from spend.periods import midnight
from web import asking, litellm_shapes
from web.calls import Act, Answer, Call, Calls, Door
from web.described import activity as described
from web.litellm_shapes import FIGURES, NOBODY, Groups
from web.narrowing import unbroken
from web.refusals import invalid

MOST_DAYS = 400
MOST_PAGE = 1000
MOST_KEYS = 10_000
_RANGE = ("start_date", "end_date", "zone")
_ONE = timedelta(days=1)


class Kind(NamedTuple):
    """Whose activity: a dimension of ours, the parameter that names some, and days of a page."""

    name: str
    dimension: str
    parameter: str
    page: int


USERS = Kind("user", "user_id", "user_id", 50)
KINDS = (
    USERS,
    Kind("team", "team", "team_ids", 10),
    Kind("tag", "tag", "tags", 10),
    Kind("organization", "organization", "organization_ids", 10),
)


class Days(NamedTuple):
    """Calendar days of a zone, the last one in it."""

    first: date
    last: date
    zone: str

    @property
    def length(self) -> int:
        return (self.last - self.first).days + 1


def paged(kind: Kind) -> Act:
    """GET /.../daily/activity."""

    def daily(call: Call) -> Answer:
        """Spend by day, the newest first, a page of days; each by model, provider and key.

        `page_size` counts days, so that no day is cut in two; `metadata` has the totals of the
        page. Requests whose cost is not known are `unpriced`, and in no `spend`.
        """
        _only(call, *_RANGE, kind.parameter, "model", "api_key", "timezone", "page", "page_size")
        size = asking.count(call, "page_size", usual=kind.page, most=MOST_PAGE)
        page = asking.count(call, "page", usual=1, most=MOST_PAGE)
        days = _days(call)
        pages = -(-days.length // size)
        said = {"page": page, "total_pages": pages, "has_more": page < pages}
        if page > pages:
            return _answered([], [], said)
        last = days.last - (page - 1) * size * _ONE
        first = last - min(size - 1, (last - days.first).days) * _ONE
        return _activity(call, kind, Days(first, last, days.zone), said)

    return daily


def whole(kind: Kind) -> Act:
    """GET /.../daily/activity/aggregated."""

    def aggregated(call: Call) -> Answer:
        """Spend by day, the newest first, all days at once; each by model, provider and key."""
        _only(call, *_RANGE, kind.parameter, "model", "api_key", "timezone")
        days = _few(_days(call))
        return _activity(call, kind, days, {"page": 1, "total_pages": 1, "has_more": False})

    return aggregated


def report(call: Call) -> Answer:
    """Spend of some days by key and model, the dearest key first; or by day and team.

    `group_by` is `team` unless given or a key, user or team is asked for, as with LiteLLM.
    """
    _only(call, *_RANGE, "group_by", "api_key", "internal_user_id", "team_id")
    by = asking.one_of(call, "group_by", ("team", "api_key"))
    only = _chosen(call, api_key="api_key", user_id="internal_user_id", team="team_id")
    days = _few(_days(call))
    if by == "api_key" or (by is None and only.keys() & {"api_key", "user_id"}):
        return Answer(litellm_shapes.by_key(_asked(call, days, only, ["api_key", "model"])))
    found = _asked(call, days, only, ["day", "team", "model", "api_key"])
    return Answer(litellm_shapes.by_team(found))


def scoped(dimension: str, parameter: str) -> Act:
    """GET /key/spend/report and its like."""

    def spent(call: Call) -> Answer:
        """Spend of some days by key and model, the dearest key first, of one or of all."""
        _only(call, *_RANGE, parameter)
        only = _chosen(call, **{dimension: parameter})
        found = _asked(call, _few(_days(call)), only, ["api_key", "model"])
        return Answer(litellm_shapes.by_key(found))

    return spent


def keys(call: Call) -> Answer:
    """The keys that cost most in the last 30 days, the dearest first."""
    _only(call, "limit", "zone")
    most = asking.count(call, usual=MOST_KEYS, most=MOST_KEYS)
    zone = call.query.get("zone", "UTC")
    with call.looking() as session:
        known = _zone(session, zone)
        since = midnight(datetime.now(known).date() - 30 * _ONE, known)
        found = reports.page(session, ["api_key"], most, since=since)
    return Answer([
        {
            "api_key": line.group[0] or NOBODY,
            "key_alias": None,
            "key_name": None,
            "total_spend": float(line.total_cost),
            "unpriced": line.unpriced,
        }
        for line in found
    ])  # fmt: skip


def _activity(call: Call, kind: Kind, days: Days, said: dict[str, Any]) -> Answer:
    only = _chosen(call, **{"model": "model", "api_key": "api_key", kind.dimension: kind.parameter})
    with call.looking() as session:
        models = _sums(session, days, only, ["day", "provider", "model", "api_key"])
        entities = _sums(session, days, only, ["day", kind.dimension, "api_key"])
    if chosen := only.get(kind.dimension):
        # A request that was chosen by one tag may have others, which nobody asked for.
        entities = [group for group in entities if group[0][1] in chosen]
    return _answered(models, entities, said)


def _answered(models: Groups, entities: Groups, said: dict[str, Any]) -> Answer:
    results, totals = litellm_shapes.activity(models, entities)
    metadata: dict[str, Any] = {**totals, **said}
    return Answer({"results": results, "metadata": metadata})


def _asked(call: Call, days: Days, only: Only, by: Sequence[str]) -> Groups:
    with call.looking() as session:
        return _sums(session, days, only, by)


def _sums(session: Session, days: Days, only: Only, by: Sequence[str]) -> Groups:
    zone = _zone(session, days.zone)
    try:
        since, until = midnight(days.first, zone), midnight(days.last + _ONE, zone)
    except OverflowError:
        raise invalid("start_date and end_date have to be days that a calendar has.") from None
    named: dict[str, Any] = {"since": since, "until": until, "zone": days.zone, "only": only}
    try:
        return reports.sums(session, by, FIGURES, **named)
    except BadInputError as error:
        raise invalid(str(error)) from None


def _zone(session: Session, name: str) -> ZoneInfo:
    try:
        return zones.known(session, name)
    except BadInputError as error:
        raise invalid(str(error)) from None


def _chosen(call: Call, **parameters: str) -> dict[str, list[str | None]]:
    """Filters by our names, from parameters of LiteLLM's; lists are written with commas."""
    found: dict[str, list[str | None]] = {}
    for ours, theirs in parameters.items():
        if said := call.query.get(theirs):
            names = said.split(",") if theirs.endswith("s") else [said]
            if not any(names):
                # It is not everybody either.
                raise invalid(f"{theirs} has no name in it, only commas.")
            found[ours] = [None if name == NOBODY else name for name in names if name]
    try:
        filters.check(found)
    except BadInputError as error:
        raise invalid(str(error)) from None
    return found


def _only(call: Call, *names: str) -> None:
    asking.only(call, *names)
    unbroken(call)


def _few(days: Days) -> Days:
    if days.length > MOST_DAYS:
        raise invalid(f"From start_date to end_date are {days.length} days; it can be {MOST_DAYS}.")
    return days


def _days(call: Call) -> Days:
    """Raises Refusal."""
    first, last = (_date(call, name) for name in ("start_date", "end_date"))
    if last < first:
        raise invalid("end_date has to be start_date or later.")
    return Days(first, last, call.query.get("zone", "UTC"))


def _date(call: Call, name: str) -> date:
    said = call.query.get(name)
    if said is None:
        raise invalid(f"{name} is missing, a date such as 2026-11-21.")
    try:
        found = date.fromisoformat(said)
    except ValueError:
        found = None
    if found is None or found.isoformat() != said:
        raise invalid(f"{name} is a date such as 2026-11-21, not {said!r:.60}.")
    return found


def _doors() -> list[Door]:
    found = []
    for kind in KINDS:
        path = f"/{kind.name}/daily/activity"
        words = f"Spend by day and {kind.name}, as LiteLLM says it"
        extra = described.activity(kind.parameter, kind.dimension, kind.page, MOST_PAGE)
        found += [
            _door(path, words, paged(kind), f"{kind.name}_daily", extra),
            _door(
                f"{path}/aggregated", f"{words}, at once", whole(kind), f"{kind.name}_aggregated",
                described.activity(kind.parameter, kind.dimension),
            ),
        ]  # fmt: skip
    words = "Spend by key and model, as LiteLLM says it"
    found += [
        _door("/global/spend/report", words, report, "report", described.REPORT),
        _door("/global/spend/keys", "The dearest keys, as LiteLLM says it", keys, "keys",
              described.KEYS),
    ]  # fmt: skip
    for name, dimension, parameter in (
        ("key", "api_key", "api_key"),
        ("user", "user_id", "user_id"),
        ("team", "team", "team_id"),
        ("organization", "organization", "organization_id"),
    ):
        act = scoped(dimension, parameter)
        extra = described.scoped(parameter)
        found.append(_door(f"/{name}/spend/report", words, act, f"{name}_report", extra))
    return found


def _door(path: str, summary: str, act: Act, name: str, extra: dict[str, Any]) -> Door:
    # Each route is an operation with a name of its own, also where two share their code.
    act.__name__ = name
    return Door("GET", path, summary, act, ("read",), "report", extra=extra, tenants=True)


DOORS = tuple(_doors())


def router(calls: Calls) -> APIRouter:
    """The routes of LiteLLM's that are answered here."""
    return calls.router(DOORS)
