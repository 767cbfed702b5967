"""How fast events go in over HTTP, and what they cost Postgres, beside COPY and LiteLLM's writer.

Measures, each in a database of its own (on the server that DATABASE_URL names, if any; then its
CPU time contains what else it does):

- http: clients in processes of their own send made-up traffic to `spendbeat web`, while ticks are
  taken and rolled up every few seconds, as beat and workers do;
- copy: the rows that this made, with COPY into the same two tables, nothing else done;
- litellm: the statements that LiteLLM's proxy sends for the same calls to its own schema (see
  benchmarks/litellm_writer.py), over one connection. Rows are built before the clock starts. What
  sending values as text costs the server, which LiteLLM's driver does not do, is measured too and
  taken off; `slim` is without the copy of the model's prices that LiteLLM keeps in each row.

CPU is that of all the server's processes: backends, WAL writer, checkpoint, vacuum.

    ./run bench ingest --rows 1000000
"""

import argparse
import gzip
import http.client
import json
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from itertools import islice
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import psycopg2
from sqlalchemy import create_engine, make_url, text

from benchmarks import cpu, import_rate, litellm_writer
from benchmarks.stack import database, server, show
from spend import cursors, rollups, ticks, tokens
from spend.generate import requests
from worker.database import make_engine, transaction

ROOT = Path(__file__).resolve().parent.parent
DAY = date(2026, 11, 2)


class Meter:
    """Wall time, and CPU time of the whole server, while something is measured.

    The checkpoint that what was written needs is part of the CPU, not of the time.
    """

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with self._engine.connect() as connection:
            self._postmaster = cpu.postmaster(connection)
        self.checkpoint()
        self.seconds = 0.0
        self.postgres = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        before, began = cpu.of_tree(self._postmaster), time.perf_counter()
        yield
        self.seconds += time.perf_counter() - began
        self.postgres += cpu.of_tree(self._postmaster) - before

    def checkpoint(self) -> None:
        with self._engine.connect() as connection:
            connection.execute(text("CHECKPOINT"))
        self._engine.dispose()

    def finish(self) -> "Meter":
        before = cpu.of_tree(self._postmaster)
        self.checkpoint()
        self.postgres += cpu.of_tree(self._postmaster) - before
        return self


def bodies(folder: Path, rows: int, batch: int, clients: int, *, packed: bool) -> list[Path]:
    """A folder of ready request bodies for each client."""
    found = [folder / f"client{number}" for number in range(clients)]
    for path in found:
        path.mkdir()
    events = requests(rows, 1, DAY)
    for number in range(-(-rows // batch)):
        body = json.dumps({"events": list(islice(events, batch))}).encode()
        if packed:
            body = gzip.compress(body, 1)
        (found[number % clients] / f"{number:06}").write_bytes(body)
    return found


def send(folder: Path, port: int, secret: str, ready: Barrier, *, packed: bool) -> None:
    """One client: all bodies of its folder, one after the other; asked to wait, it waits."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    if packed:
        headers["Content-Encoding"] = "gzip"
    queue = [path.read_bytes() for path in sorted(folder.iterdir())]
    ready.wait()
    for body in queue:
        while True:
            connection.request("POST", "/ingest", body, headers)
            answer = connection.getresponse()
            said = answer.read()
            if answer.status == 503:
                time.sleep(float(answer.headers["Retry-After"]))
                continue
            assert answer.status == 200, said
            break


@contextmanager
def web(processes: int, log: Path) -> Iterator[tuple[int, int]]:
    """`spendbeat web` on a free port: its port and process id."""
    command = [sys.executable, "-m", "worker.cli", "web", "--port", "0"]
    with log.open("wb") as output:
        running = subprocess.Popen(
            [*command, "--processes", str(processes)],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    try:
        while not (found := re.search(r"http://[\d.]+:(\d+)", log.read_text())):
            assert running.poll() is None, log.read_text()
            time.sleep(0.05)
        port = int(found[1])
        while not _answers(port):
            time.sleep(0.05)
        yield port, running.pid
    finally:
        running.terminate()
        running.wait(30)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


class Roller(threading.Thread):
    """Beat and a worker: a tick every few seconds, and what it found is counted."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self._over = threading.Event()
        self.postgres = 0.0

    def run(self) -> None:
        while not self._over.wait(self._seconds):
            self.roll()
        self.roll()

    def roll(self) -> None:
        with transaction() as session:
            backend = int(session.scalar(text("SELECT pg_backend_pid()")) or 0)
            before = cpu.of_process(backend)
            ticks.take(session)
        with transaction() as session:
            lagging = cursors.lagging(session)
        for provider in lagging:
            with transaction() as session:
                rollups.advance(session, provider)
        self.postgres += cpu.of_process(backend) - before

    def finish(self) -> None:
        self._over.set()
        self.join()


def measure_http(url: str, folder: Path, options: argparse.Namespace) -> tuple[Meter, float, float]:
    """Time until the last answer, and CPU seconds: of Postgres, the service, and rollups."""
    paths = bodies(folder, options.rows, options.batch, options.clients, packed=options.gzip)
    with transaction() as session:
        _, secret = tokens.create(session, "bench", ["ingest"])
    context = multiprocessing.get_context("spawn")
    with web(options.processes, folder / "web.log") as (port, pid):
        barrier = context.Barrier(options.clients + 1)
        clients = [
            context.Process(
                target=send, args=(path, port, secret, barrier), kwargs={"packed": options.gzip}
            )
            for path in paths
        ]
        for client in clients:
            client.start()
        roller = Roller(options.tick)
        meter = Meter(url)
        barrier.wait()
        before = cpu.of_tree(pid)
        with meter.running():
            roller.start()
            for client in clients:
                client.join()
                assert client.exitcode == 0
        service = cpu.of_tree(pid) - before
        seconds = meter.seconds
        with meter.running():
            roller.finish()
        meter.seconds = seconds
    return meter.finish(), service, roller.postgres


def measure_copy(url: str, folder: Path) -> Meter:
    """The ledger's and the keys' rows of the measurement before, with COPY."""
    engine = make_engine(url, "spendbeat_writer")
    meter = Meter(url)
    with meter.running():
        for table, columns, file in _tables(folder):
            import_rate.copy(engine, f"COPY {table} ({columns}) FROM STDIN", file, "rb")
    engine.dispose()
    return meter.finish()


def dump(url: str, folder: Path) -> None:
    """Write the rows of both tables to files."""
    engine = make_engine(url, "spendbeat_writer")
    for table, columns, file in _tables(folder):
        statement = f"COPY (SELECT {columns} FROM {table}) TO STDOUT"
        import_rate.copy(engine, statement, file, "wb")
    engine.dispose()


def _tables(folder: Path) -> list[tuple[str, str, Path]]:
    return [
        ("cost_logs", import_rate.LEDGER, folder / "ledger"),
        ("request_keys", import_rate.KEYS, folder / "keys"),
    ]


def measure_litellm(
    server_url: str, options: argparse.Namespace, *, slim: bool
) -> tuple[Meter, float]:
    """What LiteLLM's statements cost, and what of it is only the way they are sent here."""
    from tests.support.litellm_tables import schema

    events = list(requests(options.rows, 1, DAY))
    models = sorted({(str(e["provider"]), str(e["model"])) for e in events})
    found = litellm_writer.templates(ROOT, models)
    for provider, model in models:
        found[provider, model] |= {"model": model, "custom_llm_provider": provider}

    def built(some: Sequence[Any]) -> list[dict[str, Any]]:
        return [litellm_writer.row(found[e["provider"], e["model"]], e, slim=slim) for e in some]

    def each(work: Callable[[list[dict[str, Any]]], None]) -> Meter:
        meter = Meter(url)
        for start in range(0, len(events), options.flush):
            rows = built(events[start : start + options.flush])
            with meter.running():
                work(rows)
        return meter.finish()

    with schema(server_url) as name:
        url = make_url(server_url).set(database=name).render_as_string(False)
        plain = make_url(url).set(drivername="postgresql").render_as_string(False)
        connection = psycopg2.connect(plain, options="-c jit=off -c timezone=UTC")
        writer = litellm_writer.Writer(connection)
        for start in range(0, len(events), options.flush):
            writer.introduce(built(events[start : start + options.flush]))
        nothing = each(lambda rows: writer.logs(rows, nothing=True))
        measured = each(writer.flush)
        connection.close()
    return measured, nothing.postgres


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--batch", type=int, default=1000, help="events per request")
    parser.add_argument("--processes", type=int, default=2, help="of the service")
    parser.add_argument("--gzip", action="store_true", help="send gzipped")
    parser.add_argument("--tick", type=float, default=5.0, help="seconds between two ticks")
    parser.add_argument("--flush", type=int, default=10_000, help="calls per flush of LiteLLM")
    parser.add_argument(
        "--litellm-rows", type=int, help="fewer calls for LiteLLM's writer; CPU is per row"
    )
    parser.add_argument("--no-litellm", action="store_true", help="leave LiteLLM out")
    options = parser.parse_args(argv)
    results: list[tuple[str, Meter, float, int]] = []
    notes: list[str] = []
    with tempfile.TemporaryDirectory() as name, server() as server_url:
        folder = Path(name)
        with database(server_url) as url:
            measured, service, rolled = measure_http(url, folder, options)
            dump(url, folder)
        rows = options.rows
        results.append(("HTTP, rollups included", measured, measured.postgres, rows))
        results.append(("HTTP alone", measured, measured.postgres - rolled, rows))
        notes.append(f"CPU of the service: {service / rows * 1e6:.0f} us per row.")
        with database(server_url) as url:
            copied = measure_copy(url, folder)
        results.append(("COPY, same two tables", copied, copied.postgres, rows))
        if not options.no_litellm:
            options.rows = options.litellm_rows or rows
            for slim in (False, True):
                measured, nothing = measure_litellm(server_url, options, slim=slim)
                what = "LiteLLM's writer, slim" if slim else "LiteLLM's writer"
                cost = measured.postgres - nothing
                results.append((what, measured, cost, options.rows))
                notes.append(
                    f"{what}: {nothing / options.rows * 1e6:.0f} us per row were taken off for"
                    " sending values as text."
                )
    ours, base = results[0][2] / rows, copied.seconds
    show(
        f"{rows:,} events, {options.clients} clients, {options.batch:,} per request",
        ["way", "seconds", "rows/s", "of COPY", "Postgres CPU, us per row", "of ours"],
        [
            (
                what,
                f"{m.seconds:.1f}",
                f"{count / m.seconds:,.0f}",
                f"{base / rows * count / m.seconds:.2f}",
                f"{spent / count * 1e6:.1f}",
                f"{spent / count / ours:.2f}",
            )
            for what, m, spent, count in results
        ],
    )
    print("\n".join(notes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
