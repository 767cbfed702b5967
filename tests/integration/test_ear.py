"""The bell in Redis, behind a connection that may break without a word."""

import asyncio
from asyncio import StreamReader, StreamWriter
from pathlib import Path

import pytest

from tests.support.valkey import Valkey, valkey
from tests.support.waiting import wait_for
from web.stream import ear
from worker.bell import CHANNEL


class Wire:
    """Between the service and Redis. Cut, it stays open on both sides and nothing passes."""

    def __init__(self, there: str) -> None:
        self._there = there
        self.connections = 0
        self.passing = asyncio.Event()
        self.passing.set()

    async def join(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.connections += 1
        answers, asks = await asyncio.open_unix_connection(self._there)
        await asyncio.gather(self._pass(reader, asks), self._pass(answers, writer))

    async def _pass(self, reader: StreamReader, writer: StreamWriter) -> None:
        while said := await reader.read(65536):
            await self.passing.wait()
            writer.write(said)
        writer.close()


def test_a_connection_that_broke_without_a_word_is_made_anew_and_a_quiet_one_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ear, "_TRIED", 0.3)
    monkeypatch.setattr(ear, "_PAUSE", 0.01)
    with valkey() as redis:
        asyncio.run(asyncio.wait_for(_cut_and_mend(redis, tmp_path / "wire.sock"), 30))


async def _cut_and_mend(redis: Valkey, here: Path) -> None:
    wire = Wire(redis.url.removeprefix("unix://"))
    heard = asyncio.Event()
    async with await asyncio.start_unix_server(wire.join, here):
        listening = asyncio.create_task(ear.listen(f"unix://{here}", heard.set))
        await heard.wait()
        heard.clear()
        most = _pings(redis) + 3
        await asyncio.to_thread(wait_for, lambda: _pings(redis) >= most, "three pings")
        assert wire.connections == 1
        assert not heard.is_set(), "an answer to a ping is nothing new"
        await asyncio.to_thread(redis.client.publish, CHANNEL, b"")
        await heard.wait()
        heard.clear()
        wire.passing.clear()
        await asyncio.to_thread(wait_for, lambda: wire.connections > 1, "another connection")
        wire.passing.set()
        await heard.wait()
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


def _pings(redis: Valkey) -> int:
    stats = redis.client.info("commandstats")
    return int(stats.get("cmdstat_ping", {"calls": 0})["calls"])
