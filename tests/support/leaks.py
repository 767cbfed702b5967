"""What no answer to a bound token, or to none, may be."""

import base64
import binascii
import json
import re
from urllib.parse import unquote

import requests
from schemathesis import Case, Response

from tests.support.api_fuzz import Fuzz, Operation
from tests.support.worlds import DAYS, FOREIGN, STRANGERS, TENANTS, World

# For every token, and for none.
PUBLIC = {"GET /"}
# For tokens that are bound to an organization, team or key. A route that is added here shows
# nothing but what Call.looking() lets it see.
OPEN = {
    *PUBLIC,
    *(f"GET /{path}" for path in ("aggregate", "spend", "requests", "requests/{id}")),
    *(f"GET /{of}/spend/report" for of in ("global", "key", "organization", "team", "user")),
    *(f"GET /{of}/daily/activity" for of in ("organization", "tag", "team", "user")),
    *(f"GET /{of}/daily/activity/aggregated" for of in ("organization", "tag", "team", "user")),
    "GET /global/spend/keys",
}
# URLs of them that show all that one may see.
TOLD = (
    "/aggregate",
    "/spend?by=organization,team,api_key",
    "/spend?by=project,model,user_id,sprint,agent",
    "/spend?by=tag&format=csv",
    "/requests?limit=500",
    "/requests?limit=500&format=csv",
    "/requests?limit=500&project=shared-project",
    "/global/spend/keys?limit=100",
    *(
        f"/{path}?start_date={DAYS[0]}&end_date={DAYS[1]}"
        for path in (
            "global/spend/report",
            "key/spend/report",
            "user/daily/activity",
            "organization/daily/activity",
            "team/daily/activity/aggregated",
        )
    ),
)
# Lists whose pages have places that others could ask for.
LISTS = ("/budgets", "/aggregate", "/spend", "/spend?by=tag", "/requests")
# What differs between two services with the same data, or between two moments.
_MOMENTS = re.compile(
    r'"(?:counted_to|created_at|counted_seconds_ago)":(?:"[^"]*"|[0-9.]+|null)'
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:\+00:00|Z)?"
)
_PACKED = re.compile(r"[A-Za-z0-9_-]{8,}={0,2}")

Answer = Response | requests.Response


class LeakError(AssertionError):
    """Somebody was told what is not theirs."""


def watch(fuzz: Fuzz, alone: World, operation: Operation, *, is_open: bool) -> None:
    """Ask a route as tenants and as strangers, here and where the others' spend does not exist.

    is_open: to tenants, so that one of them asks everything.
    """

    def ask(case: Case, kind: str) -> None:
        for one in {TENANTS[0], kind} if is_open else {kind}:
            here, there = fuzz.answer(case, one), fuzz.answer(case, one, alone)
            what = f"{case.as_curl_command()} as {one}"
            _refuse(what, here, there, asked=_asked(case))

    fuzz.each(operation, ask, (*TENANTS, *STRANGERS))


def compare(here: World, alone: World, path: str) -> None:
    """Each kind of tenant hears at both the same of one URL, and nothing foreign."""
    for kind in TENANTS:
        answers = [world.ask("GET", path, kind) for world in (here, alone)]
        _refuse(f"{path} as {kind}", *answers)


def _refuse(what: str, here: Answer, there: Answer, *, asked: str = "") -> None:
    found = foreign(here, asked)
    if found:
        raise LeakError(f"{what} tells of others: {found}")
    if _timeless(here) != _timeless(there):
        raise LeakError(
            f"{what} is answered by what others have:\n{_timeless(here)}\ninstead of"
            f"\n{_timeless(there)}"
        )


def foreign(answer: Answer, asked: str = "") -> str:
    """Where an answer names somebody else; what it was asked for may come back."""
    said = everything(answer)
    for mark in FOREIGN:
        if mark in said and mark not in asked:
            where = said.index(mark)
            return f"...{said[max(0, where - 200) : where + 100]}..."
    return ""


def everything(answer: Answer) -> str:
    """All that an answer says, also in headers and packed into places of pages."""
    said = f"{json.dumps(dict(answer.headers))}\n{_text(answer)}"
    plain = unquote(said)
    return "\n".join([said, plain, *map(_unpacked, _PACKED.findall(plain))])


def _text(answer: Answer) -> str:
    return answer.content.decode("utf-8", "replace")


def _unpacked(word: str) -> str:
    try:
        return base64.urlsafe_b64decode(word + "=" * (-len(word) % 4)).decode("utf-8", "replace")
    except (ValueError, binascii.Error):
        return ""


def _asked(case: Case) -> str:
    parts = [case.path_parameters, case.query, dict(case.headers or {}), case.body]
    return json.dumps(parts, default=repr)


def _timeless(answer: Answer) -> tuple[int, dict[str, str], str]:
    headers = {
        name.lower(): _MOMENTS.sub("", str(said))
        for name, said in answer.headers.items()
        if name.lower() not in ("date", "content-length")
    }
    return answer.status_code, headers, _MOMENTS.sub("", _text(answer))
