"""However many requests come at once, they are counted for all processes together."""

import asyncio
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from spend.tokens import Token
from tests.support.valkey import Valkey
from web import rates
from web.refusals import Refusal
from worker.settings import load

MOST, AT_ONCE = 50, 1500


def test_a_flood_does_not_take_its_own_queue_for_a_redis_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rates, "_CONNECTIONS", 1)
    valkey = Valkey(tmp_path)
    url = f"redis+socket://{valkey.url.removeprefix('unix://')}"
    chosen = load().model_copy(update={"redis_url": url, "web_rate": MOST})
    token = Token(1, "mine", frozenset({"read"}), datetime.now(UTC), None, None)

    async def flood() -> int:
        limits = rates.Rates(chosen)
        asks = (limits.admit(token, "ask") for _ in range(AT_ONCE))
        found = await asyncio.gather(*asks, return_exceptions=True)
        await limits.aclose()
        assert {type(one) for one in found} <= {type(None), Refusal}
        return sum(one is None for one in found)

    try:
        with caplog.at_level(logging.WARNING):
            # Those of a minute that began meanwhile may be let in too.
            assert asyncio.run(flood()) < 2 * MOST
        assert not caplog.records
    finally:
        valkey.kill()
