"""Raw rows become requests in one form, or are rejected with a reason."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spend.capture.normalise import Normaliser
from spend.capture.request import Rejected, Request

NOW = datetime(2026, 11, 21, tzinfo=UTC)
BASE: Mapping[str, Any] = {
    "started_at": "2026-11-01T10:00:00Z",
    "provider": "openai",
    "model": "gpt-4o",
}


def made(**fields: Any) -> Request:
    return Normaliser(now=NOW).mapping({**BASE, **fields})


def test_a_row_with_nothing_but_the_needed_fields() -> None:
    request = made()
    assert request.usage == (0,) * 8
    assert (request.id, request.cost_usd, request.status) == (None, None, "success")
    assert not any(request.mix)


@pytest.mark.parametrize("tags", ["b, a,,b", ["b", "a", "b"], ("a", "b", " ")])
def test_tags_are_sorted_and_distinct(tags: object) -> None:
    assert made(tags=tags).mix.tags == ("a", "b")


def test_user_is_another_name_of_user_id() -> None:
    assert made(user="u1").mix.user_id == "u1"
    with pytest.raises(Rejected, match="twice"):
        made(user="u1", user_id="u2")


@pytest.mark.parametrize("value", ["12", 12, "12.0", 12.0, Decimal(12), " 12 "])
def test_a_whole_count_is_accepted_in_any_spelling(value: object) -> None:
    assert made(input_tokens=value).usage.input_tokens == 12


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"input_tokens": "1.5"}, "not whole"),
        ({"input_tokens": "-1"}, "negative"),
        ({"input_tokens": -1}, "negative"),
        ({"input_tokens": 1 << 53}, "too large"),
        ({"input_tokens": "9" * 400}, "too large"),
        ({"input_tokens": "1e99"}, "too large"),
        ({"input_tokens": "nan"}, "too large"),
        ({"input_tokens": "1_000"}, "not a number"),
        ({"input_tokens": "twelve"}, "not a number"),
        ({"input_tokens": True}, "not a number"),
        ({"input_tokens": [1]}, "not a number"),
        ({"input_tokens": 5, "cache_read_tokens": 6}, "parts of input"),
        ({"input_tokens": 5, "cache_read_tokens": 3, "cache_write_1h_tokens": 3}, "parts of input"),
        ({"input_tokens": 5, "audio_input_tokens": 6}, "parts of input"),
        ({"output_tokens": 5, "reasoning_tokens": 6}, "parts of output"),
        ({"cost_usd": "NaN"}, "out of range"),
        ({"cost_usd": "Infinity"}, "out of range"),
        ({"cost_usd": "1e15"}, "out of range"),
        ({"cost_usd": "-0.01"}, "negative"),
        ({"cost_usd": "free"}, "not a number"),
        ({"cost_usd": False}, "not a number"),
        ({"status": "maybe"}, "neither success nor failure"),
        ({"provider": "  "}, "provider is missing"),
        ({"model": None}, "model is missing"),
        ({"model": "m" * 513}, "longer than 512"),
        ({"trace_id": "t" * 513}, "longer than 512"),
        ({"id": "a\0b"}, "NUL"),
        ({"end_user": "\ud800"}, "UTF-8"),
        ({"session_id": {"a": 1}}, "not a text"),
        ({"team": 1.5}, "not a text"),
        ({"tags": 3}, "neither a list nor a text"),
        ({"tags": [f"t{n}" for n in range(101)]}, "more than 100 tags"),
        ({"imput_tokens": 3}, "unknown field"),
    ],
)
def test_what_cannot_be_booked_is_rejected_with_a_reason(
    fields: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Rejected, match=reason):
        made(**fields)


def test_a_cached_count_does_not_let_a_boolean_through() -> None:
    normaliser = Normaliser(now=NOW)
    for count in (1, "1", 0, "0"):
        normaliser.mapping({**BASE, "input_tokens": count})
    for wrong in (True, False):
        with pytest.raises(Rejected, match="not a number"):
            normaliser.mapping({**BASE, "input_tokens": wrong})


def test_a_cost_is_read_through_its_shortest_text_and_rounded_half_to_even() -> None:
    assert made(cost_usd=0.1).cost_usd == Decimal("0.1")
    assert made(cost_usd="0.0000000000005").cost_usd == 0
    assert made(cost_usd="0.0000000000015").cost_usd == Decimal("0.000000000002")


def test_numbers_as_ids_and_spaces_around_texts() -> None:
    request = made(id=0, trace_id=" t ", session_id="", end_user="Zoë")
    assert (request.id, request.trace_id, request.session_id) == ("0", "t", None)
    assert request.end_user == "Zoë"


TEXTS = st.text(max_size=8)


@given(
    st.dictionaries(
        st.sampled_from(["id", "provider", "model", "trace_id", "team", "tags", "status"]),
        TEXTS | st.none() | st.integers() | st.booleans() | st.floats(),
    ),
    st.dictionaries(
        st.sampled_from(["input_tokens", "output_tokens", "cache_read_tokens", "cost_usd"]),
        TEXTS | st.none() | st.integers() | st.floats() | st.decimals() | st.lists(st.none()),
    ),
)
def test_anything_is_either_a_request_or_rejected(
    texts: dict[str, Any], counts: dict[str, Any]
) -> None:
    try:
        request = made(**texts, **counts)
    except Rejected:
        return
    assert all(type(count) is int and 0 <= count < 1 << 53 for count in request.usage)
    assert request.provider
    assert request.model
    for text in (request.id, request.trace_id, request.mix.team, request.provider):
        assert text is None or (text.encode() and "\0" not in text and len(text) <= 512)


@given(TEXTS, TEXTS)
def test_a_row_is_read_the_same_first_and_later(provider: str, team: str) -> None:
    """The caches of a Normaliser answer as its checks do."""
    normaliser = Normaliser(now=NOW)
    row = {**BASE, "provider": provider, "team": team, "input_tokens": "7"}
    results = []
    for _ in range(2):
        try:
            results.append(repr(normaliser.mapping(row)))
        except Rejected as verdict:
            results.append(str(verdict))
    assert results[0] == results[1]
