"""What was spent: by provider and model as one list, and by anything, as JSON and CSV."""

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import orjson
from fastapi import APIRouter
from sqlalchemy.orm import Session

from spend import reports, ticks
from spend.amounts import plain
from spend.errors import BadInputError
from spend.reports import Place, SpendLine
from spend.ticks import Counted
from web import asking, bodies, sheets
from web import openapi_reports as described
from web.calls import Answer, Call, Calls, Door
from web.refusals import invalid

FIGURES = ("requests", "input_tokens", "output_tokens", "unpriced", "total_cost")
MOST = 10_000
USUAL = 100
MOST_GROUPS = 6
_LONGEST = 100  # characters of a cost in `after`


def aggregate(call: Call) -> Answer:
    """Spend of all time by provider and model, the dearest first.

    `records` is how many are in `data`. A cost is a text with every digit, and at least that where
    some requests are `unpriced`.
    """
    _readable(call, "provider", "model", "money", "limit", "after")
    as_numbers = _one_of(call, "money", ("text", "number")) == "number"
    most = asking.count(call, usual=MOST, most=MOST)
    after = _place(call, 2)
    named = {"providers": call.query.getlist("provider"), "models": call.query.getlist("model")}
    with call.looking() as session:
        found = reports.summary(session, most + 1, after, **named)
        counted = ticks.counted(session)
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
    return Answer({
        "records": len(data), "data": data, "next": _next(found, most), **_freshness(counted)
    })  # fmt: skip


def spend(call: Call) -> Answer:
    """Spend of a time by anything, the dearest first, with its total and how fresh it is.

    What is not attributed is a line of its own, so that lines add up to the total; but for tags: a
    request is in a line for each of its tags, and once in the total.
    """
    _readable(call, "by", "from", "to", "zone", "limit", "after", "format")
    as_csv = _csv(call)
    by = _groups(call)
    most = asking.count(call, usual=USUAL, most=MOST)
    after = _place(call, len(by))
    zone = call.query.get("zone", "UTC")
    with call.looking() as session:
        try:
            since, until = _range(session, call, zone)
            found = reports.page(session, by, most + 1, after, since=since, until=until, zone=zone)
            whole = reports.total(session, since=since, until=until)
        except BadInputError as error:
            raise invalid(str(error)) from None
        counted = ticks.counted(session)
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
            "data": [{**_group(by, line), **_figures(line)} for line in found[:most]],
            "total": _figures(whole),
            "next": following,
            **_freshness(counted),
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


def _freshness(counted: Counted | None) -> dict[str, Any]:
    return {
        "counted_to": counted and counted.at.astimezone(UTC).isoformat(),
        "counted_seconds_ago": counted and round(counted.age, 3),
    }


def _headers(
    call: Call, whole: SpendLine, counted: Counted | None, following: str | None
) -> dict[str, str]:
    """What JSON says beside the lines, for CSV, which has only lines."""
    headers = {
        "Vary": "Accept",
        "Content-Disposition": 'attachment; filename="spend.csv"',
        "X-Content-Type-Options": "nosniff",
        "Spendbeat-Total-Cost": plain(whole.total_cost),
        "Spendbeat-Unpriced": str(whole.unpriced),
        "Spendbeat-At-Least": "true" if whole.unpriced else "false",
    }
    if counted:
        headers["Spendbeat-Counted-To"] = counted.at.astimezone(UTC).isoformat()
    if following:
        kept = [(name, said) for name, said in call.query.multi_items() if name != "after"]
        headers["Link"] = f'<?{urlencode([*kept, ("after", following)])}>; rel="next"'
    return headers


def _readable(call: Call, *names: str) -> None:
    """Raises Refusal for other parameters, and for the one character that Postgres has not."""
    asking.only(call, *names)
    for name, said in call.query.multi_items():
        if "\0" in said:
            raise invalid(f"{name} has a character that is in no text (U+0000).")
        if name not in ("provider", "model") and len(call.query.getlist(name)) > 1:
            raise invalid(f"{name} is there more than once.")


def _one_of(call: Call, name: str, known: Sequence[str]) -> str | None:
    return next(iter(asking.choices(call, name, known)), None)


def _csv(call: Call) -> bool:
    """Whether CSV is wanted: by ?format, or because Accept names it before JSON."""
    wanted = _one_of(call, "format", ("json", "csv"))
    if wanted is not None:
        return wanted == "csv"
    weights: dict[str, float] = {}
    for part in call.headers.get("accept", "").lower().split(","):
        kind, _, rest = part.partition(";")
        _, _, weight = rest.replace(" ", "").partition("q=")
        try:
            weights[kind.strip()] = float(weight.partition(";")[0] or 1)
        except ValueError:
            weights[kind.strip()] = 0.0
    csv = weights.get(sheets.CSV, 0.0)
    return csv > 0 and csv >= weights.get(bodies.JSON, 0.0)


def _groups(call: Call) -> list[str]:
    by = [name.strip() for name in call.query.get("by", "provider,model").split(",")]
    if len(by) > MOST_GROUPS:
        raise invalid(f"by has {len(by)} names; it can have {MOST_GROUPS}.")
    if twice := next((name for name in by if by.count(name) > 1), None):
        raise invalid(f"by has {twice!r:.60} twice.")
    return by


def _range(session: Session, call: Call, zone: str) -> tuple[datetime | None, datetime | None]:
    """From and to in UTC. Raises BadInputError."""
    known = reports.zone_known(session, zone)
    since, until = (_moment(call, name, known) for name in ("from", "to"))
    if since and until and since >= until:
        raise BadInputError("from has to be before to, which is the first moment left out.")
    return since, until


def _moment(call: Call, name: str, zone: ZoneInfo) -> datetime | None:
    """A date or time, in the zone unless it names an offset. Raises BadInputError."""
    said = call.query.get(name)
    if said is None:
        return None
    try:
        found = datetime.fromisoformat(said)
        return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadInputError(
            f"{name} is a date or time such as 2026-11-21 or 2026-11-21T09:15, not"
            f" {said!r:.60}. In an address the + of an offset is written %2B."
        ) from None


def _next(found: Sequence[SpendLine], most: int) -> str | None:
    """`after` of the next page, where there is one line more than fits."""
    if len(found) <= most:
        return None
    last = found[most - 1]
    return base64.urlsafe_b64encode(orjson.dumps([plain(last.total_cost), *last.group])).decode()


def _place(call: Call, keys: int) -> Place | None:
    """What _next() wrote. Raises Refusal."""
    said = call.query.get("after")
    if said is None:
        return None
    try:
        match orjson.loads(base64.b64decode(said.encode(), b"-_", validate=True)):
            case [str(cost), *group] if len(cost) <= _LONGEST and len(group) == keys:
                place = Place(Decimal(cost), tuple(group))
                if place.cost.is_finite() and "e" not in cost.lower() and _texts(group):
                    return place
    except (binascii.Error, ValueError, InvalidOperation):
        pass
    raise invalid("after is what the page before this one gave as next, of the same `by`.")


def _texts(group: Sequence[object]) -> bool:
    return all(v is None or (isinstance(v, str) and "\0" not in v) for v in group)


DOORS = (
    Door(
        "GET", "/aggregate", "Spend by provider and model", aggregate, ("read",), "report",
        extra=described.AGGREGATE,
    ),
    Door(
        "GET", "/spend", "Spend by anything", spend, ("read",), "report", extra=described.SPEND
    ),
)  # fmt: skip


def router(calls: Calls) -> APIRouter:
    """GET /aggregate and GET /spend."""
    return calls.router(DOORS)
