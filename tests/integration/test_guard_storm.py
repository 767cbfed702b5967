"""Callers at one limit, killed at random: nothing is spent over it, and the control is caught."""

from pathlib import Path

import pytest

from tests.support.guard_storm import LIFETIME, naive, storm
from tests.support.valkey import valkey


@pytest.mark.parametrize(("callers", "kills"), [(1, 0), (100, 3.0)])
def test_a_limit_is_never_exceeded_whoever_dies(tmp_path: Path, callers: int, kills: float) -> None:
    with valkey() as server:
        found = storm(server, tmp_path, callers=callers, seconds=6, kills=kills, seed=callers)
    assert found.billed <= found.limit
    if callers > 1:  # one alone does not get there
        assert found.refused > 0
        assert found.kills > kills
        assert found.abandoned > found.kills
    assert (found.held, found.used) == (0, found.billed)
    assert found.back < LIFETIME + 3


def test_get_then_add_exceeds_it(tmp_path: Path) -> None:
    with valkey() as server:
        assert naive(server, tmp_path, callers=100, seconds=4, seed=1) > 0
