"""What brings a request to another cost is decided from values alone."""

from datetime import UTC, datetime, timedelta

from spend.adjustments import correct
from spend.entries import Change, Entry, Wanted, spans
from spend.pricing import Usage

AT = datetime(2026, 11, 20, 10, tzinfo=UTC)


def entry(booked: int | None, *changes: Change, usage: Usage = Usage(10, 5)) -> Entry:  # noqa: B008 - a tuple
    return Entry(7, AT, "acme", "large", 0, "success", 3, booked, None, None, None, usage, changes)


def test_the_difference_is_to_the_row_and_all_its_adjustments() -> None:
    found = correct(entry(100, Change(4, -30, 0)), 90, 9)
    assert found is not None
    assert (found.pico, found.unpriced, found.version) == (20, 0, 9)


def test_what_is_right_already_needs_nothing() -> None:
    assert correct(entry(100, Change(4, -30, 0)), 70, 9) is None
    assert correct(entry(None), None, 9) is None
    assert correct(entry(100), 100, 9, Usage(10, 5)) is None


def test_an_unpriced_request_is_settled_once_and_can_be_taken_back() -> None:
    """A settled zero is not the same as nothing known, so it has a row of its own."""
    settled = correct(entry(None), 0, 9)
    assert settled is not None
    assert (settled.pico, settled.unpriced) == (0, -1)
    back = correct(entry(None, Change(9, 40, -1)), None, 10)
    assert back is not None
    assert (back.pico, back.unpriced) == (-40, 1)
    lost = correct(entry(100), None, 9)
    assert lost is not None
    assert (lost.pico, lost.unpriced) == (-100, 1)


def test_tokens_change_only_where_a_usage_is_wanted() -> None:
    kept = correct(entry(100), 90, 9)
    assert kept is not None
    assert kept.usage == Usage()
    told = correct(entry(100), 100, 9, Usage(8, 6, 2))
    assert told is not None
    assert told.usage == Usage(-2, 1, 2)
    assert told.pico == 0


def test_ids_that_lie_close_are_one_span_and_it_holds_all_their_times() -> None:
    wanted = [
        Wanted(id_, AT + timedelta(minutes=minutes), None, None, 0)
        for id_, minutes in ((1, 5), (900, -5), (2_000, 0), (50_000, 9), (50_001, 8))
    ]
    found = spans(wanted)
    assert [(span.low, span.high) for span in found] == [(1, 2_000), (50_000, 50_001)]
    for want in wanted:
        assert any(
            s.low <= want.row_id <= s.high and s.first <= want.started_at <= s.last for s in found
        )
