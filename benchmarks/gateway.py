"""CPU that recording adds to a call: building the event, the spool, and shipping it by HTTP.

The receiver is another process. CPU is that of the whole recording process, its shipping thread
included, from the first call to the moment when all have arrived, without that of the same calls
unrecorded, divided by the calls; and the time that the calling thread waits, as percentiles.

    ./run bench gateway --calls 20000 --below 100
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from statistics import quantiles
from typing import Any

from spendbeat_gateway import Recorder

RECEIVER = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")
    def log_message(self, *args):
        pass
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""
Call = Callable[["Response"], object]
FIELDS = {"provider": "openai", "project": "search", "team": "core", "session_id": "s-1"}


class Details:
    cached_tokens = 600
    audio_tokens = 0
    reasoning_tokens = 64


class Usage:
    """As the openai package has it: an object with attributes."""

    prompt_tokens = 1000
    completion_tokens = 200
    total_tokens = 1200
    prompt_tokens_details = Details()
    completion_tokens_details = Details()


class Response:
    model = "gpt-4o-mini-2024-07-18"
    service_tier = "default"
    usage = Usage()

    def __init__(self, number: int) -> None:
        self.id = f"chatcmpl-{number:032d}"


def measure(ways: str, calls: int, rate: float, url: str) -> dict[str, float]:
    """Microseconds per call; rate: calls per second, 0 for as fast as possible."""
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(url=url, spool=folder)
        record = WAYS[ways](recorder)
        record(Response(0))
        recorder.flush(30)
        waits = []
        cpu, began = time.process_time(), time.monotonic()
        for n in range(1, calls + 1):
            before = time.perf_counter()
            record(Response(n))
            waits.append(time.perf_counter() - before)
            if rate and (ahead := began + n / rate - time.monotonic()) > 0:
                time.sleep(ahead)
        if not recorder.flush(60):
            sys.exit(f"not all arrived: {recorder.stats()}")
        cpu = time.process_time() - cpu
        recorder.close()
    cpu -= unrecorded(ways, calls, rate)
    cuts = quantiles(waits, n=1000)
    return {
        "cpu_us": cpu / calls * 1e6,
        "wait_median_us": cuts[499] * 1e6,
        "wait_p99_us": cuts[989] * 1e6,
        "wait_p999_us": cuts[998] * 1e6,
        "wait_max_us": max(waits) * 1e6,
    }


class Nobody:
    """A recorder that does nothing."""

    def record(self, response: Response, **_: object) -> None: ...

    def track(self, **_: object) -> Callable[[Any], Any]:
        return lambda function: function


def unrecorded(ways: str, calls: int, rate: float) -> float:
    """CPU seconds of the same calls without recording."""
    record = WAYS[ways](Nobody())
    cpu, began = time.process_time(), time.monotonic()
    for n in range(1, calls + 1):
        before = time.perf_counter()
        record(Response(n))
        time.perf_counter() - before
        if rate and (ahead := began + n / rate - time.monotonic()) > 0:
            time.sleep(ahead)
    return time.process_time() - cpu


def by_record(recorder: "Recorder | Nobody") -> Call:
    return lambda response: recorder.record(response, **FIELDS)


def by_decorator(recorder: "Recorder | Nobody") -> Call:
    return recorder.track(**FIELDS)(lambda response: response)


def by_coroutine(recorder: "Recorder | Nobody") -> Call:
    @recorder.track(**FIELDS)
    async def call(response: Response) -> Response:
        return response

    loop = asyncio.new_event_loop()
    return lambda response: loop.run_until_complete(call(response))


def by_stream(recorder: "Recorder | Nobody") -> Call:
    """Of a hundred chunks."""

    @recorder.track(**FIELDS)
    def call(response: Response) -> Iterator[dict[str, Any]]:
        chunk = {"id": response.id, "model": response.model, "choices": [], "usage": None}
        for _ in range(99):
            yield chunk
        yield {**chunk, "usage": response.usage}

    return lambda response: [None for _ in call(response)]


WAYS = {
    "record": by_record,
    "decorator": by_decorator,
    "coroutine": by_coroutine,
    "stream": by_stream,
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--rate", type=float, default=0, help="calls per second; 0: no pause")
    parser.add_argument("--below", type=float, help="exit code 1 from this CPU per call on (us)")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    command = [sys.executable, "-c", RECEIVER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as receiver:
        assert receiver.stdout is not None
        url = f"http://127.0.0.1:{receiver.stdout.readline().strip()}"
        try:
            found = {
                way: measure(way, options.calls, options.rate, url)
                for way in options.ways.split(",")
            }
        finally:
            receiver.kill()
    if options.json:
        print(json.dumps(found))
    else:
        show(found, options.calls)
    worst = max(figures["cpu_us"] for figures in found.values())
    return 1 if options.below and worst >= options.below else 0


def show(found: dict[str, dict[str, float]], calls: int) -> None:
    print(f"{calls:,} calls each; microseconds per call\n")
    print(f"{'':12}{'CPU':>8}{'wait p50':>10}{'p99':>8}{'p99.9':>9}{'max':>9}")
    for way, figures in found.items():
        cpu, *waits = figures.values()
        print(f"{way:12}{cpu:8.1f}{waits[0]:10.1f}{waits[1]:8.1f}{waits[2]:9.1f}{waits[3]:9.0f}")


if __name__ == "__main__":
    sys.exit(main())
