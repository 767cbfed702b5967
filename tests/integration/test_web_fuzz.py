"""Whatever a budget or an edit says, the answer is a word about it, and what is kept is as said.

All routes, from their description: tests/e2e/test_api_fuzz.py.
"""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spend.budgets.definition import ENFORCE, SCOPE_FIELDS, UNPRICED, UNREACHABLE
from spend.budgets.reading import FIELDS, THRESHOLD_FIELDS
from spend.periods import KINDS, WEEKDAYS
from tests.support.asking import Client
from tests.support.service import serving

# What JSON can hold in UTF-8, characters that mean something somewhere included.
_CHARACTERS = st.one_of(
    st.sampled_from("\0\n\r\t \"'\\%,=:/?#&.-_\u00b2\u0665\u202e\ufeff\U0001f4b8"),
    st.characters(codec="utf-8"),
)
_TEXTS = st.one_of(
    st.text(_CHARACTERS, max_size=30),
    st.sampled_from([
        "none", "NaN", "sNaN", "-Infinity", "1e999999999", "1e-999999999", "1_000", "0x10", "80%",
        "%", "$5", "9" * 400, "0001-01-01", "9999-12-31", "2026-11-22T10:00:00+23:59", "24:00",
        "Europe/Berlin", "../UTC", "UTC\0", "Europe", "x" * 3000, "80%,escalate=30m",
        "5,actual,info,channel=ops", "5,channel=a\0b", "project:shop",
    ]),
)  # fmt: skip
_PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    _TEXTS,
)
_ANYTHING = st.recursive(
    _PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3)
)


def _often(*usual: Any) -> st.SearchStrategy[Any]:
    """What makes sense twice out of three times, so that more than the first mistake is met."""
    return st.integers(0, 2).flatmap(lambda n: _ANYTHING if n == 0 else st.sampled_from(usual))


def _mix(fields: Any, values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(list(fields)), values, max_size=3)


_THRESHOLD = _mix(THRESHOLD_FIELDS, _often("80%", 500, "forecast", "critical", "30m", ["ops"]))
_LIMIT = _often(None, 5, 0.1, "99.5")
_USUAL: dict[str, st.SearchStrategy[Any]] = {
    "name": _often("b", "c", "7.5"),
    "scope": _mix([*SCOPE_FIELDS, "user", "colour"], _often("shop", 7)) | _ANYTHING,
    "period": _often(*KINDS),
    "zone": _often("UTC", "Asia/Kathmandu"),
    "week_start": _often(*WEEKDAYS),
    "from": _often("2026-11-01", "1970-01-01", None),
    "to": _often("2026-12-01", "9000-12-31", None),
    "soft_limit": _LIMIT,
    "hard_limit": _LIMIT,
    "thresholds": st.lists(_THRESHOLD | _often("80%", 5), max_size=3) | _ANYTHING,
    "note": _often("why"),
    "enforce": _often(*ENFORCE),
    "throttle_per_minute": _often(60),
    "unreachable": _often(*UNREACHABLE),
    "allowance": _LIMIT,
    "unpriced": _often(*UNPRICED),
    "ceiling": _LIMIT,
    "raise": st.fixed_dictionaries({"by": _LIMIT, "until": _often("2026-12-01", "9000-01-01")})
    | _ANYTHING,
    "state": _often("active", "paused"),
    "version": _often(1, 2),
}
# Few at a time: with one mistake in each of twenty only the first is ever met.
_SOME = st.sets(st.sampled_from(sorted(_USUAL)), max_size=4).flatmap(
    lambda names: st.fixed_dictionaries({name: _USUAL[name] for name in names})
)
_BUDGETS = _SOME.map(lambda said: {"name": "b", "hard_limit": 9, **said})
_OFTEN = settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
_WORDS = (400, 404, 405, 409, 412, 413, 415, 422)


def _sent(client: Client, method: str, path: str, body: Any) -> tuple[int, Any]:
    """JSON as a program would write it; what httpx itself refuses is not of interest."""
    answer = client.service.client.request(
        method,
        path,
        content=json.dumps(body, ensure_ascii=False).encode(),
        headers={"Authorization": client.bearer, "Content-Type": "application/json"},
    )
    client.check(method, path, answer)
    said = answer.json()
    assert answer.is_success or (answer.status_code in _WORDS and said["error"]), answer.text
    return answer.status_code, said


def test_there_is_a_guess_for_every_field() -> None:
    assert set(FIELDS) <= set(_USUAL)


def test_whatever_a_budget_says_it_is_kept_as_it_was_said_or_refused(database: str) -> None:
    """What is kept can be read, shown with its status, and sent again without a change."""
    with serving() as service:
        client = Client(service)

        @_OFTEN
        @given(_BUDGETS)
        def example(body: dict[str, Any]) -> None:
            body.pop("version", None)
            status, made = _sent(client, "POST", "/budgets", body)
            if status != 201:
                return
            path = f"/budgets/{made['id']}"
            try:
                shown = client.get(path)
                assert {name: shown[name] for name in made} == made
                again = {name: made[name] for name in (*FIELDS, "state") if name in made}
                assert _sent(client, "PATCH", path, again)[1]["version"] == made["version"]
                planned = _sent(client, "PUT", "/budgets?dry_run", {"budgets": [again]})[1]
                assert planned["same"] == [made["name"]]
            finally:
                client.good("DELETE", path)

        example()


def test_whatever_an_edit_says_it_is_done_or_refused(database: str) -> None:
    with serving() as service:
        client = Client(service)
        client.good("POST", "/budgets", {"name": "b", "hard_limit": 5})

        @_OFTEN
        @given(_SOME | _ANYTHING, st.booleans())
        def example(body: Any, listed: bool) -> None:
            if listed:
                _sent(client, "PUT", "/budgets?dry_run", {"budgets": [body]})
                return
            if isinstance(body, dict):
                body.pop("name", None)
            _sent(client, "PATCH", "/budgets/b", body)

        example()
