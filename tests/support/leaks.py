"""What no answer to a bound token, or to none, may be."""

import base64
import binascii
import json
import re
from urllib.parse import unquote

import requests
from schemathesis import Case, Response

from tests.support.api_fuzz import Fuzz, Operation
from tests.support.worlds import FOREIGN, STRANGERS, TENANTS, World

# What differs between two services with the same data, or between two moments.
_MOMENTS = re.compile(
    r'"(?:counted_to|created_at|counted_seconds_ago|tick_seconds_ago)":(?:"[^"]*"|[0-9.]+|null)'
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:\+00:00|Z)?"
)
_PACKED = re.compile(r"[A-Za-z0-9_-]{8,}={0,2}")


class LeakError(AssertionError):
    """Somebody was told what is not theirs."""


def watch(fuzz: Fuzz, alone: World, operation: Operation, times: int = 1) -> None:
    """Ask a route as tenants and as strangers, here and where the others' spend does not exist."""

    def ask(case: Case, kind: str) -> None:
        asked = _asked(case)
        answer = fuzz.answer(case, kind)
        found = foreign(answer, asked)
        if found:
            raise LeakError(f"{operation.label} tells {kind} of others: {found}\n{_again(case)}")
        here, there = _timeless(answer), _timeless(fuzz.answer(case, kind, alone))
        if here != there:
            raise LeakError(
                f"{operation.label} answers {kind} by what others have:\n{here}\ninstead of"
                f"\n{there}\n{_again(case)}"
            )

    for _ in range(times):
        fuzz.each(operation, ask, (*TENANTS, *TENANTS, *STRANGERS))
        fuzz.seed += 1


def foreign(answer: Response | requests.Response, asked: str = "") -> str:
    """Where an answer names somebody else; what it was asked for may come back."""
    said = everything(answer)
    for mark in FOREIGN:
        if mark in said and mark not in asked:
            where = said.index(mark)
            return f"...{said[max(0, where - 200) : where + 100]}..."
    return ""


def everything(answer: Response | requests.Response) -> str:
    """All that an answer says, also in headers and packed into places of pages."""
    said = f"{json.dumps(dict(answer.headers))}\n{_text(answer)}"
    plain = unquote(said)
    return "\n".join([said, plain, *map(_unpacked, _PACKED.findall(plain))])


def _text(answer: Response | requests.Response) -> str:
    return answer.content.decode("utf-8", "replace")


def _unpacked(word: str) -> str:
    try:
        return base64.urlsafe_b64decode(word + "=" * (-len(word) % 4)).decode("utf-8", "replace")
    except (ValueError, binascii.Error):
        return ""


def _asked(case: Case) -> str:
    parts = [case.path_parameters, case.query, dict(case.headers or {}), case.body]
    return json.dumps(parts, default=repr)


def _again(case: Case) -> str:
    return case.as_curl_command()


def _timeless(answer: Response) -> tuple[int, dict[str, str], str]:
    headers = {
        name: _MOMENTS.sub("", str(said))
        for name, said in answer.headers.items()
        if name not in ("date", "content-length")
    }
    return answer.status_code, headers, _MOMENTS.sub("", _text(answer))
