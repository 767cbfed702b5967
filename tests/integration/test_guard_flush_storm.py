"""Redis loses everything while callers stand at a limit: what it cost is known, and no more."""

from collections.abc import Iterator

import pytest

from tests.support.flush_storm import storm
from tests.support.valkey import Valkey, valkey


@pytest.fixture
def redis(database: str) -> Iterator[Valkey]:
    with valkey() as server:
        yield server


def test_no_more_is_spent_than_what_redis_lost(redis: Valkey) -> None:
    found = storm(redis, callers=8, calls=60, seconds=6, flushes=1.5, seed=1)
    assert found.calls > 20
    assert found.over <= found.allowed_over
    assert found.used == found.postgres == found.billed
    assert found.left_over == 0


def test_a_counter_that_begins_at_nothing_spends_more(redis: Valkey) -> None:
    found = storm(redis, callers=8, calls=10, seconds=6, flushes=1.5, seed=1, blind=True)
    assert found.over > found.allowed_over
