"""From the commit of the row that crosses a line to the first byte of the webhook.

The programs of `spendbeat up` with their default periods, and nothing else to do; a receiver on
loopback that answers at once. Each crossing is of a budget of its own, at a moment of chance: most
of the time is the wait for the next tick, every five seconds.

    ./run bench alerts
    ./run bench alerts --crossings 500 --every 0.5
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import text

from benchmarks.stack import database, server, show
from spend import attributions, secrets
from spend.attribution.mix import Mix
from spend.budgets import reading, store
from spend.budgets.store import Change
from spend.delivery import destination, registry
from tests.support.programs import Program
from tests.support.waiting import wait_for
from worker.database import transaction
from worker.embedded.redis import EmbeddedRedis

UP = (sys.executable, "-m", "worker.cli", "up")
ALLOWED = "127.0.0.1"
PROVIDERS = ("openai", "anthropic", "google", "mistral")
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
_INSERT = text(
    "INSERT INTO cost_logs (provider, model, cost_usd, attribution_id)"
    " VALUES (:provider, 'model', 1, :attribution_id)"
)
_RAISED = text(
    "SELECT b.name, extract(epoch FROM a.raised_at)"
    " FROM budget_alerts AS a JOIN budgets AS b ON b.id = a.budget_id"
)


@dataclass
class Arrivals:
    """When the first byte of each budget's message came, in seconds of the clock of the day."""

    port: int = 0
    at: dict[str, float] = field(default_factory=dict)
    started: threading.Event = field(default_factory=threading.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self) -> None:
        listener = await asyncio.get_running_loop().create_server(
            lambda: _Connection(self), "127.0.0.1", 0, backlog=256
        )
        self.port = listener.sockets[0].getsockname()[1]
        self.loop = asyncio.get_running_loop()
        self.started.set()
        await self.over.wait()
        listener.close()


class _Connection(asyncio.Protocol):
    def __init__(self, arrivals: Arrivals) -> None:
        self.arrivals = arrivals
        self.first = 0.0
        self.seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.first = self.first or time.time()
        self.seen += data
        head, mark, body = self.seen.partition(b"\r\n\r\n")
        if not mark:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(body) >= length:
            self.transport.write(_ANSWER)  # type: ignore[attr-defined]  # of a TCP transport
            self.transport.close()
            name = json.loads(body)["data"]["budget"]["name"]
            self.arrivals.at.setdefault(name, self.first)


@contextmanager
def receiving() -> Iterator[Arrivals]:
    """A receiver in a thread of this process, so that both ends are read off one clock."""
    arrivals = Arrivals()
    thread = threading.Thread(target=asyncio.run, args=(arrivals.serve(),))
    thread.start()
    arrivals.started.wait(10)
    try:
        yield arrivals
    finally:
        arrivals.loop.call_soon_threadsafe(arrivals.over.set)
        thread.join()


def prepare(count: int, url: str, key: str) -> list[int]:
    """The channel, budgets of one dollar each, and the attribution of each."""
    with transaction() as session:
        registry.add(
            session,
            "bench",
            "webhook",
            url,
            secrets.parse(key, "a benchmark"),
            allowed=destination.networks(ALLOWED),
        )
        mixes = [Mix("acme", f"p{number}") for number in range(count)]
        known = attributions.resolve(session, mixes)
        changes = [
            {"name": f"b{n}", "scope": {"project": f"p{n}"}, "period": "total", "hard_limit": 1}
            | {"thresholds": ["100%"]}
            for n in range(count)
        ]
        store.save(
            session, [Change("added", None, reading.read(said)) for said in changes], "benchmark"
        )
    return [known[mix] for mix in mixes]


def cross(number: int, attribution_id: int) -> float:
    """Commit the row that crosses one budget's line; when that was done."""
    with transaction() as session:
        binds = {"provider": PROVIDERS[number % 4], "attribution_id": attribution_id}
        session.execute(_INSERT, binds)
    return time.time()


def measure(
    arrivals: Arrivals, mixes: Sequence[int], every: float, seed: int
) -> list[tuple[float, float, float]]:
    """Seconds from commit to the first byte, to the alert, and from there to the first byte."""
    chance = random.Random(seed)
    # Connections, imports and providers are there before the first that counts.
    warm = len(PROVIDERS)
    for number in range(warm):
        cross(number, mixes[number])
    wait_for(lambda: len(arrivals.at) == warm, "the first messages", 60)
    committed = {}
    for number in range(warm, len(mixes)):
        time.sleep(chance.expovariate(1 / every))
        committed[f"b{number}"] = cross(number, mixes[number])
    wait_for(lambda: len(arrivals.at) == len(mixes), "all messages", 120)
    with transaction("spendbeat_reader") as session:
        raised = {name: float(at) for name, at in session.execute(_RAISED)}
    return [
        (arrivals.at[name] - at, raised[name] - at, arrivals.at[name] - raised[name])
        for name, at in committed.items()
    ]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--crossings", type=int, default=200)
    parser.add_argument("--every", type=float, default=1, help="seconds between two, on average")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    key = secrets.new_key()
    with (
        tempfile.TemporaryDirectory() as name,
        server() as server_url,
        database(server_url) as url,
        receiving() as arrivals,
    ):
        folder = Path(name)
        folder.chmod(0o711)  # the broker may run as nobody
        mixes = prepare(
            options.crossings + len(PROVIDERS), f"http://127.0.0.1:{arrivals.port}/hook", key
        )
        with EmbeddedRedis(folder / "redis") as broker:
            values = {
                "DATABASE_URL": url,
                "REDIS_URL": broker.url,
                "SPENDBEAT_HOME": str(folder / "home"),
                "SPENDBEAT_SECRET_KEY": key,
                "SPENDBEAT_WEBHOOK_ALLOWED": ALLOWED,
            }
            values |= {f"SPENDBEAT_{door}_PORT": "0" for door in ("WEB", "FLOWER", "METRICS")}
            assert not {"SPENDBEAT_TICK_SECONDS", "SPENDBEAT_CHECK_SECONDS"} & os.environ.keys()
            up = Program("up", UP, folder / "up.log", values).start()
            try:
                up.wait_for_log("Spendbeat is up", 90)
                found = measure(arrivals, mixes, options.every, options.seed)
            finally:
                up.stop()
    show(
        f"{options.crossings:,} crossings, seconds",
        ["from", "median", "99th percentile", "longest"],
        [
            (
                what,
                f"{statistics.median(seconds):.2f}",
                f"{statistics.quantiles(seconds, n=100, method='inclusive')[98]:.2f}",
                f"{max(seconds):.2f}",
            )
            for what, seconds in zip(
                (
                    "the row's commit to the first byte of the webhook",
                    "the row's commit to the check that raises the alert",
                    "that check to the first byte",
                ),
                zip(*found, strict=True),
                strict=True,
            )
        ],
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
