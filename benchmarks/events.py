"""Many listeners of GET /events, and something that happens each second: who hears what, how late.

A real `spendbeat web` and Redis. Each second a batch of rollups counts new rows and rings, as the
task does. Most clients just listen; some hang up every ten seconds and come back with the id of
their last event; some never read. Everybody who reads must have every event, once and in order.

    ./run bench events
    ./run bench events --clients 500 --seconds 60 --lines 20
"""

import argparse
import asyncio
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import httpx
import orjson
from sqlalchemy import text

from benchmarks import memory
from benchmarks.cpu import of_process
from benchmarks.stack import autocommit, database, median, quantile, server, show
from spend import rollups, ticks, tokens
from worker import bell
from worker.database import transaction
from worker.settings import settings

_STAY = 10.0
INSERT = text(
    "INSERT INTO cost_logs (provider, model, attribution_id, cost_usd)"
    " SELECT 'openai', 'gpt-4o', n, CAST(:cost AS numeric) FROM generate_series(1, :lines) AS n"
)
KEYS = text(
    "INSERT INTO attributions (id, digest, organization, api_key)"
    " SELECT n, gen_random_uuid(), 'acme', 'key-' || n FROM generate_series(1, :lines) AS n"
)


@dataclass
class Client:
    """heard: the number of each event (its cost says it) and when it came."""

    port: int
    secret: str
    comes_back: bool = False
    heard: list[tuple[int, float]] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    opened: int = 0
    last_id: str = ""

    async def listen(self) -> None:
        while True:
            with suppress(OSError, asyncio.IncompleteReadError):
                if self.comes_back:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_STAY):
                            await self._once()
                else:
                    await self._once()
            await asyncio.sleep(0.1)

    async def _once(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 22)
        try:
            writer.write(request(self.secret, self.last_id))
            self.opened += 1
            while line := await reader.readline():
                if line.startswith(b"id: "):
                    self._came_to(line[4:].strip().decode())
                elif line.startswith(b"data: "):
                    now = time.monotonic()
                    # The event's lines come in the order event, data, id.
                    cost = orjson.loads(line[6:])["lines"][0]["total_cost"]
                    self.heard.append((int(Decimal(cost)), now))
        finally:
            writer.close()

    def _came_to(self, id_: str) -> None:
        self.last_id = id_
        if len(self.positions) < len(self.heard):
            self.positions.append(int(id_.rpartition("-")[2]))


def request(secret: str, last_id: str) -> bytes:
    resumed = f"Last-Event-ID: {last_id}\r\n" if last_id else ""
    return (
        "GET /events?kinds=spend HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {secret}\r\n{resumed}\r\n"
    ).encode()


def deaf(port: int, secret: str) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port))
    made.sendall(request(secret, ""))
    return made


@contextmanager
def web(redis_url: str, most: int) -> Iterator[tuple[int, int]]:
    """A web process: its pid and port."""
    environment = {
        **os.environ,
        "REDIS_URL": redis_url,
        "SPENDBEAT_WEB_STREAMS": str(most),
        "SPENDBEAT_WEB_STREAMS_PER_TOKEN": str(most),
        "SPENDBEAT_WEB_RATE": "0",
    }
    command = [sys.executable, "-m", "worker.cli", "web", "--port", "0"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(":")[2])
        yield process.pid, port
    finally:
        process.terminate()
        process.wait(30)


def happen(number: int, lines: int) -> float:
    """One batch that says this number; the moment after its commit."""
    with transaction() as session:
        session.execute(INSERT, {"cost": number, "lines": lines})
    with transaction() as session:
        ticks.take(session)
    with transaction() as session:
        rollups.advance(session, "openai")
    now = time.monotonic()
    bell.ring()
    return now


@dataclass
class Measured:
    committed: dict[int, float]
    idle: float
    listening: float
    after: float
    cpu: float
    metrics: str


async def measure(options: argparse.Namespace, port: int, pid: int, secret: str,
                  clients: list[Client]) -> Measured:  # fmt: skip
    asker = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False)
    bearer = {"Authorization": f"Bearer {secret}"}
    await asker.get("/aggregate", headers=bearer)
    await asyncio.to_thread(happen, 0, options.lines)
    idle = memory.pss(pid)
    tasks = [asyncio.create_task(client.listen()) for client in clients]
    ears = [deaf(port, secret) for _ in range(options.deaf)]
    while not all(client.last_id for client in clients):  # noqa: ASYNC110 - they do not tell
        await asyncio.sleep(0.05)
    listening = memory.pss(pid)
    spent = of_process(pid)
    committed: dict[int, float] = {}
    begin = time.monotonic()
    for number in range(1, options.seconds + 1):
        await asyncio.sleep(max(0, begin + number - time.monotonic()))
        committed[number] = await asyncio.to_thread(happen, number, options.lines)
    end = time.monotonic() + 20
    while any(len(client.heard) < options.seconds for client in clients):
        if time.monotonic() > end:
            break
        await asyncio.sleep(0.1)
    spent = of_process(pid) - spent
    after = memory.pss(pid)
    metrics = (await asker.get("/metrics", headers=bearer)).text
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for ear in ears:
        ear.close()
    await asker.aclose()
    return Measured(committed, idle, listening, after, spent, metrics)


def report(options: argparse.Namespace, clients: list[Client], found: Measured) -> bool:
    wanted = list(range(1, options.seconds + 1))
    complete = [client for client in clients if [n for n, _ in client.heard] == wanted]
    in_order = {tuple(client.positions) for client in complete}
    late = sorted(
        (at - found.committed[number]) * 1000
        for client in clients
        if not client.comes_back
        for number, at in client.heard
    )
    opened = sum(client.opened for client in clients if client.comes_back)
    closed = [
        line for line in found.metrics.splitlines()
        if line.startswith("spendbeat_sse_closed_total") and not line.endswith(" 0.0")
    ]  # fmt: skip
    everybody = len(clients) + options.deaf
    show(
        f"{everybody} clients, an event of {options.lines} lines each second,"
        f" {options.seconds} seconds",
        ["", "figure"],
        [
            ("clients that had every event, once and in order", f"{len(complete)}/{len(clients)}"),
            ("lists of ids among them (1 is right)", len(in_order)),
            (f"connections of the {options.back} that came back", opened),
            ("commit to received, median ms", f"{median(late):.1f}"),
            ("99 %", f"{quantile(late, 0.99):.1f}"),
            ("longest", f"{late[-1]:.1f}"),
            ("web process without clients, MB PSS", f"{found.idle:.1f}"),
            ("with them", f"{found.listening:.1f}"),
            ("at the end", f"{found.after:.1f}"),
            ("KB per client", f"{(found.after - found.idle) * 1024 / everybody:.1f}"),
            ("processor of the web process", f"{found.cpu / options.seconds:.1%}"),
        ],
    )
    print("\n".join(closed))
    return len(complete) == len(clients) and len(in_order) == 1


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=500, help="all of them")
    parser.add_argument("--back", type=int, default=50, help="of them, those that come back")
    parser.add_argument("--deaf", type=int, default=20, help="of them, those that never read")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--lines", type=int, default=5, help="keys in each batch")
    options = parser.parse_args(argv)

    from worker.embedded.redis import EmbeddedRedis

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with (
        server() as server_url,
        database(server_url) as url,
        tempfile.TemporaryDirectory(prefix="spendbeat-bench-") as folder,
    ):
        Path(folder).chmod(0o711)
        with autocommit(url) as connection:
            connection.execute(KEYS, {"lines": options.lines})
        with transaction() as session:
            secret = tokens.create(session, "bench", ["read", "metrics"])[1]
        os.environ["SPENDBEAT_HOME"] = str(Path(folder) / "home")
        with (
            EmbeddedRedis(Path(folder) / "home") as redis,
            web(redis.url, options.clients + 10) as (pid, port),
        ):
            os.environ["REDIS_URL"] = redis.url
            settings.cache_clear()  # whoever rings reads it
            clients = [
                Client(port, secret, comes_back=number < options.back)
                for number in range(options.clients - options.deaf)
            ]
            found = asyncio.run(measure(options, port, pid, secret, clients))
    return 0 if report(options, clients, found) else 1


if __name__ == "__main__":
    sys.exit(main())
