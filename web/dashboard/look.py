"""What a page shows: which time, in which zone, by what, and only what. All of it is in the URL."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session
from starlette.datastructures import QueryParams

from spend import filters, zones
from spend.errors import BadInputError
from spend.periods import midnight
from web.refusals import invalid

RANGES = {
    "today": ("Today", 1),
    "7d": ("7 days", 7),
    "30d": ("30 days", 30),
    "90d": ("90 days", 90),
}
USUAL_RANGE = "30d"
USUAL_BY = "project"
NAMES = {
    "organization": "Organization",
    "project": "Project",
    "team": "Team",
    "agent": "Agent",
    "sprint": "Sprint",
    "user_id": "User",
    "api_key": "API key",
    "provider": "Provider",
    "model": "Model",
    "tag": "Tag",
}
_BY_KEY = "tag:"
# A click on a value leads to the first of these that the page is not narrowed to yet.
_DEEPER = ("organization", "project", "agent", "user_id", "provider", "model")
_LONGEST_RANGE = timedelta(days=3700)
_YEARS = range(1900, 9000)  # near the ends of the calendar a time has no day before or after it
_OUTSIDE = f"A page shows times of the years {_YEARS[0]} to {_YEARS[-1]}."
_QUARTER = timedelta(minutes=15)


@dataclass(frozen=True)
class Look:
    """since, until: in UTC, on quarters of an hour; until is the first moment left out.

    said: how the URL says the time. first, last: days of `zone`, both in it.
    """

    now: datetime
    zone: ZoneInfo
    since: datetime
    until: datetime
    said: Mapping[str, str]
    by: str = USUAL_BY
    only: filters.Only = field(default_factory=dict)

    @property
    def range(self) -> str:
        return self.said.get("range", "" if self.said else USUAL_RANGE)

    @property
    def first(self) -> date:
        return self.since.astimezone(self.zone).date()

    @property
    def last(self) -> date:
        return (self.until - timedelta(microseconds=1)).astimezone(self.zone).date()

    @property
    def words(self) -> str:
        """The time, for a heading."""
        if self.range in RANGES:
            return {"today": "Today"}.get(self.range, f"Last {RANGES[self.range][0]}")
        if not {"from", "to"}.isdisjoint(self.said) and "through" not in self.said:
            spelled = [
                moment.astimezone(self.zone).strftime("%Y-%m-%d %H:%M")
                for moment in (self.since, self.until)
            ]
            return f"{spelled[0]} to {spelled[1]}"
        return f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"

    @property
    def counted_until(self) -> datetime:
        """The end of the time so far: a day that is not over is compared with as much of one."""
        quarter = (
            self.now.replace(minute=self.now.minute // 15 * 15, second=0, microsecond=0) + _QUARTER
        )
        return max(min(self.until, quarter), self.since + _QUARTER)

    def before(self) -> tuple[datetime, datetime]:
        """The equal time before this one: as many days, as far into the last of them."""
        if self.since == midnight(self.first, self.zone) and self.until == midnight(
            self.last + timedelta(days=1), self.zone
        ):
            days = timedelta(days=(self.last - self.first).days + 1)
            return self._earlier(self.since, days), self._earlier(self.counted_until, days)
        length = self.until - self.since
        return self.since - length, self.counted_until - length

    def _earlier(self, moment: datetime, days: timedelta) -> datetime:
        """The same time by the clock so many days before, whatever clocks did meanwhile."""
        local = moment.astimezone(self.zone).replace(tzinfo=None) - days
        return local.replace(tzinfo=self.zone).astimezone(UTC)

    def params(self, *, by: bool = True) -> list[tuple[str, str]]:
        """What the URL of this look says; what is usual is left out."""
        found = list(self.said.items())
        if self.zone.key != "UTC":
            found.append(("zone", self.zone.key))
        if by and self.by != USUAL_BY:
            found.append(("by", self.by))
        return found + [(name, value or "") for name, some in self.only.items() for value in some]

    def url(self, path: str, *more: tuple[str, str], by: bool = True) -> str:
        """This look on a page of the dashboard."""
        query = urlencode([*self.params(by=by), *more])
        return f"{path}?{query}" if query else path

    def api(self, *more: tuple[str, str]) -> str:
        """The same figures from GET /spend."""
        known = [("by", self.by), ("from", _said(self.since)), ("to", _said(self.until))]
        only = [(name, value or "") for name, some in self.only.items() for value in some]
        return f"/spend?{urlencode([*known, ('zone', self.zone.key), *only, *more])}"

    def narrowed(self, name: str, value: str | None) -> "Look":
        """Only this value."""
        return replace(self, only={**self.only, name: (value,)})

    def widened(self, name: str) -> "Look":
        """Without a filter."""
        return replace(self, only={n: some for n, some in self.only.items() if n != name})

    def grouped(self, by: str) -> "Look":
        return replace(self, by=by)

    def during(self, since: datetime, until: datetime) -> "Look":
        """A part of the time."""
        said = {"from": _said(since), "to": _said(until)}
        return replace(self, since=since, until=until, said=said)

    def over(self, range_: str) -> "Look":
        """Another preset."""
        said = {} if range_ == USUAL_RANGE else {"range": range_}
        return replace(self, said=said)

    def deeper(self, value: str | None) -> "Look":
        """Narrowed to a value of what this is grouped by, and grouped by what comes next."""
        inner = self.narrowed(self.by, value)
        left = [name for name in _DEEPER if name not in inner.only]
        later = _DEEPER[_DEEPER.index(self.by) + 1 :] if self.by in _DEEPER else _DEEPER[1:]
        for name in (*later, *left):
            if name in left:
                return inner.grouped(name)
        return inner

    @property
    def deepest(self) -> bool:
        """Whether a click on a value leads to its requests: there is nothing left to group by."""
        return all(name in self.only or name == self.by for name in _DEEPER) or self.by == "model"


def read(session: Session, query: QueryParams, now: datetime) -> Look:
    """Raises Refusal for what a URL cannot say."""
    for name, value in query.multi_items():
        if "\0" in value or "\0" in name:
            raise invalid(f"{name[:60]!r} has a character that is in no text (U+0000).")
    try:
        zone = zones.known(session, query.get("zone") or "UTC")
        since, until, given = _time(query, zone, now)
    except BadInputError as error:
        raise invalid(str(error)) from None
    except OverflowError:
        raise invalid(_OUTSIDE) from None
    by = query.get("by") or USUAL_BY
    if by not in NAMES and not (by.startswith(_BY_KEY) and len(by) > len(_BY_KEY)):
        raise invalid(f"by is one of {', '.join(NAMES)}, tag:KEY, not {by!r:.60}.")
    return Look(now, zone, since, until, given, by, _only(query))


def label(name: str) -> str:
    """A dimension for people."""
    return NAMES.get(name) or f"Tag {name.removeprefix(_BY_KEY)}"


def shown(value: str | None) -> str:
    """A value of a dimension for people."""
    if value is None:
        return "Unattributed"
    return value if value.strip() else f"“{value}”"


def _only(query: QueryParams) -> dict[str, tuple[str | None, ...]]:
    found: dict[str, tuple[str | None, ...]] = {}
    for name, value in query.multi_items():
        if filters.is_filter(name):
            found[name] = (*found.get(name, ()), value or None)
    return found


def _time(
    query: QueryParams, zone: ZoneInfo, now: datetime
) -> tuple[datetime, datetime, dict[str, str]]:
    given = {name: query[name] for name in ("from", "to", "through") if query.get(name)}
    if not given:
        name = query.get("range") or USUAL_RANGE
        if name not in RANGES:
            raise BadInputError(f"range is one of {', '.join(RANGES)}, not {name!r:.60}.")
        today = now.astimezone(zone).date()
        since = midnight(today - timedelta(days=RANGES[name][1] - 1), zone)
        until = midnight(today + timedelta(days=1), zone)
        return since, until, {} if name == USUAL_RANGE else {"range": name}
    today = now.astimezone(zone).date()
    until = midnight(today + timedelta(days=1), zone)
    if "through" in given:
        until = midnight(_day("through", given["through"]) + timedelta(days=1), zone)
    elif "to" in given:
        until = _moment("to", given["to"], zone)
    begins = given.get("from")
    since = _moment("from", begins, zone) if begins else until - timedelta(days=30)
    if since.year not in _YEARS or until.year not in _YEARS:
        raise BadInputError(_OUTSIDE)
    if since >= until:
        raise BadInputError("The first day has to be before the last one.")
    if until - since > _LONGEST_RANGE:
        raise BadInputError(f"A page shows at most {_LONGEST_RANGE.days} days.")
    return since, until, given


def _day(name: str, said: str) -> date:
    try:
        found = date.fromisoformat(said)
        found + timedelta(days=2)
    except (ValueError, OverflowError):
        raise BadInputError(f"{name} is a day such as 2026-11-21, not {said!r:.60}.") from None
    return found


def _moment(name: str, said: str, zone: ZoneInfo) -> datetime:
    try:
        if len(said) == len("2026-11-21"):
            return midnight(_day(name, said), zone)
        found = datetime.fromisoformat(said)
        found = (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadInputError(
            f"{name} is a day or time such as 2026-11-21 or 2026-11-21T09:15, not {said!r:.60}."
        ) from None
    if found.minute % 15 or found.second or found.microsecond:
        raise BadInputError(f"{said!r:.60} is not on a quarter of an hour.")
    return found


def _said(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")
