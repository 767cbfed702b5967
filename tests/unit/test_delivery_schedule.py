"""When a message is tried again."""

from itertools import pairwise

import pytest

from spend.delivery.schedule import LONGEST, PAUSES, pause


def test_a_message_is_tried_fifteen_times_in_about_75_hours() -> None:
    hours = sum(PAUSES) / 3600
    assert len(PAUSES) == 14
    assert 75 <= hours <= 76
    assert all(first <= then for first, then in pairwise(PAUSES))


def test_after_the_last_pause_it_is_given_up_whatever_the_receiver_asks() -> None:
    assert pause(len(PAUSES), None, 0.5) is not None
    assert pause(len(PAUSES) + 1, None, 0.5) is None
    assert pause(len(PAUSES) + 1, 10.0, 0.5) is None


@pytest.mark.parametrize("attempts", range(1, len(PAUSES) + 1))
def test_chance_moves_a_pause_by_a_tenth_at_most(attempts: int) -> None:
    own = PAUSES[attempts - 1]
    assert pause(attempts, None, 0.0) == pytest.approx(own * 0.9)
    assert pause(attempts, None, 0.5) == pytest.approx(own)
    assert pause(attempts, None, 1.0) == pytest.approx(own * 1.1)


def test_a_receiver_may_ask_for_more_patience_but_not_for_less_and_not_for_ever() -> None:
    assert pause(1, 77.0, 0.5) == 77.0
    assert pause(10, 77.0, 0.5) == PAUSES[9]
    assert pause(1, 1e12, 0.5) == LONGEST
    assert pause(1, -5.0, 0.5) == PAUSES[0]
