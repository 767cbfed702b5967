"""Deliveries per second, and what one costs, to a receiver that answers at once.

A real worker over a real broker; webhooks over HTTP on loopback, signed, recorded one by one. The
receiver is a process of its own. CPU is that of the worker's processes, and of the Postgres server
where it runs on this machine. Lanes: one is what a single budget's channel does at most.

    ./run bench delivery
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text

from benchmarks import cpu
from benchmarks.stack import database, server, show
from spend import secrets
from tests.support import delivery_storm
from tests.support.programs import CELERY, Program
from tests.support.waiting import wait_for
from worker.embedded.redis import EmbeddedRedis

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class _Fast(asyncio.Protocol):
    """Answers as soon as something of the body has come."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.seen = b""

    def data_received(self, data: bytes) -> None:
        self.seen += data
        head, mark, body = self.seen.partition(b"\r\n\r\n")
        if not mark:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(body) >= length:
            self.transport.write(_ANSWER)  # type: ignore[attr-defined]  # of a TCP transport
            self.transport.close()


async def _receive() -> None:
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(_Fast, "127.0.0.1", 0, backlog=256)
    print(f"port {listener.sockets[0].getsockname()[1]}.")
    await listener.serve_forever()


@contextmanager
def receiver(folder: Path) -> Iterator[str]:
    """The URL of a fast receiver in a process of its own."""
    command = (sys.executable, "-m", "benchmarks.delivery", "--receive")
    program = Program("receiver", command, folder / "receiver.log", {}).start()
    try:
        program.wait_for_log(".")
        port = program.logs().split()[1].rstrip(".")
        yield f"http://127.0.0.1:{port}/hook"
    finally:
        program.kill()


def measure(
    folder: Path, lanes: int, messages: int, pool: Sequence[str]
) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds of the worker and of Postgres for so many deliveries."""
    key = secrets.new_key()
    os.environ.update(delivery_storm.environment(key))
    with server() as server_url, database(server_url), receiver(folder) as receiving:
        channel = delivery_storm.prepare(receiving, key)
        queues = ("-Q", "delivery,ticks", "--without-mingle", "-l", "INFO")
        worker = Program("worker", (*CELERY, "worker", *queues, *pool), folder / "worker.log", {})
        try:
            worker.start().wait_for_log(" ready.")
            delivery_storm.put(channel, messages, lanes)
            return _timed(worker, server_url)
        finally:
            worker.stop()


def _timed(worker: Program, server_url: str) -> tuple[float, float, float]:
    from tasks.delivery import ring  # reads the settings, which are this round's

    engine = create_engine(server_url)
    with engine.connect() as connection:
        postgres = cpu.postmaster(connection)
        before = cpu.of_tree(worker.pid), cpu.of_tree(postgres)
        began = time.perf_counter()
        ring.delay()
        wait_for(lambda: not delivery_storm.left(), "all deliveries", 600)
        seconds = time.perf_counter() - began
        after = cpu.of_tree(worker.pid), cpu.of_tree(postgres)
        connection.execute(text("SELECT 1"))
    engine.dispose()
    return seconds, after[0] - before[0], after[1] - before[1]


def _figures(count: int, wall: float, worker: float, postgres: float) -> list[str]:
    each = (f"{seconds / count * 1000:.2f}" for seconds in (worker, postgres))
    return [f"{count / wall:.0f}", f"{count / worker:.0f}", *each]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--receive", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.receive:
        asyncio.run(_receive())
        return 0
    pools = {
        "1 process": ("-c", "1"),
        "2 processes": ("-c", "2"),
        "16 threads": ("-P", "threads", "-c", "16"),
    }
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)  # the broker may run as nobody
        with EmbeddedRedis(Path(folder) / "home") as broker:
            os.environ["REDIS_URL"] = broker.url
            for pool, arguments in pools.items():
                for lanes in (1, 200):
                    own = Path(folder) / f"{pool} {lanes}"
                    own.mkdir()
                    found = measure(own, lanes, options.messages, arguments)
                    lines.append((pool, lanes, *_figures(options.messages, *found)))
    show(
        f"Deliveries of {options.messages:,} messages",
        [
            "worker",
            "lanes",
            "a second",
            "a second and core of the worker",
            "worker, ms CPU each",
            "Postgres, ms CPU each",
        ],
        lines,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
