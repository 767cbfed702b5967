"""Pairs of reserve and settle per second, beside a bare GET and INCRBY on the same Redis.

    ./run bench guard
    ./run bench guard --processes 4 --seconds 5 --budgets 1,4,8 --redis redis://localhost/15

Each process makes one pair after the other, of calls that are under so many budgets at once. A bare
pair is what a counter without any guarantee costs: two round trips as well. Both ways take turns,
so that a machine that is busy with something else disturbs both.
"""

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from statistics import median, quantiles
from typing import Any, NamedTuple

from redis import Redis
from spendbeat_gateway.guard import Guard, publishing
from spendbeat_gateway.guard.publishing import Spent

from tests.support.valkey import valkey

FIRST = "2026-11-01"
ESTIMATE, ACTUAL = Decimal("0.0123"), Decimal("0.00451")


class Measured(NamedTuple):
    """Pairs a second of all processes together; microseconds of one pair; of Redis' processor."""

    rate: float
    median_us: float
    p99_us: float
    redis_us: float


def publish(client: Redis, budgets: int) -> None:
    """Budgets that one call is under."""
    client.flushall()
    rules = [
        {
            "id": number,
            "name": f"budget {number}",
            "counter": f"{number}.1",
            "keys": ["project=shop"],
            "enforce": "block",
            "periods": [{"first": FIRST, "starts": None, "ends": None}],
        }
        for number in range(1, budgets + 1)
    ]
    publishing.publish_rules(client, {"budgets": rules})
    life = publishing.epoch(client)
    for number in range(1, budgets + 1):
        spent = Spent(f"{number}.1", FIRST, Decimal(0), Decimal(1_000_000), None, None)
        publishing.set_spent(client, spent, reading=1, epoch=life)


def guard_pairs(url: str) -> Callable[[], object]:
    guard = Guard(url)

    def pair() -> None:
        hold = guard.reserve({"project": "shop"}, ESTIMATE, provider="openai", model="gpt-4o")
        assert hold.allowed, hold
        guard.settle(hold, ACTUAL)

    return pair


def bare_pairs(url: str) -> Callable[[], object]:
    client = Redis.from_url(url, socket_timeout=2.0, socket_connect_timeout=2.0)

    def pair() -> None:
        client.get("bare")
        client.incrby("bare", 12_300_000)

    return pair


WAYS = {"guard": guard_pairs, "bare": bare_pairs}


def caller(
    way: str, url: str, seconds: float, start: Barrier, results: "SimpleQueue[list[float]]"
) -> None:
    pair = WAYS[way](url)
    for _ in range(50):
        pair()
    start.wait()
    waits: list[float] = []
    clock = time.perf_counter
    end = (before := clock()) + seconds
    while before < end:
        pair()
        after = clock()
        waits.append(after - before)
        before = after
    results.put(waits)


def measure(way: str, url: str, processes: int, seconds: float) -> Measured:
    context = multiprocessing.get_context("fork")
    start, results = context.Barrier(processes + 1), context.SimpleQueue()
    callers = [
        context.Process(target=caller, args=(way, url, seconds, start, results))
        for _ in range(processes)
    ]
    for process in callers:
        process.start()
    with Redis.from_url(url) as client:
        start.wait()
        before = used(client)
        all_waits = [results.get() for _ in callers]
        spent = used(client) - before
    for process in callers:
        process.join()
    waits = [wait for one in all_waits for wait in one]
    cuts = quantiles(waits, n=100)
    return Measured(len(waits) / seconds, cuts[49] * 1e6, cuts[98] * 1e6, spent / len(waits) * 1e6)


def used(client: Redis) -> float:
    """Processor seconds of Redis so far."""
    found: dict[str, Any] = client.info("cpu")
    return float(found["used_cpu_user"]) + float(found["used_cpu_sys"])


def middle(rounds: Sequence[Measured]) -> Measured:
    return Measured(*(median(column) for column in zip(*rounds, strict=True)))


@contextmanager
def server(url: str | None) -> Iterator[str]:
    if url:
        yield url
    else:
        with valkey() as own:
            yield own.url


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--budgets", default="1,4,8", help="that each call is under")
    parser.add_argument("--redis", help="URL of one that may be emptied; by default one of its own")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    found: dict[str, dict[str, float]] = {}
    if not options.json:
        print(f"{options.processes} processes; figures are of pairs, medians of the rounds\n")
        print(f"{'budgets':>8}{'':8}{'a second':>10}{'median us':>11}{'p99 us':>9}{'Redis us':>10}")
    with server(options.redis) as url:
        for budgets in map(int, options.budgets.split(",")):
            rounds: dict[str, list[Measured]] = {way: [] for way in WAYS}
            for _ in range(options.rounds):
                for way, measured in rounds.items():
                    with Redis.from_url(url) as client:
                        publish(client, budgets)
                    measured.append(measure(way, url, options.processes, options.seconds))
            ways = {way: middle(measured) for way, measured in rounds.items()}
            times = ways["bare"].rate / ways["guard"].rate
            found[str(budgets)] = {
                f"{way}_{name}": round(value, 1)
                for way, figures in ways.items()
                for name, value in figures._asdict().items()
            } | {"times": round(times, 2)}
            if not options.json:
                show(budgets, ways, times)
    if options.json:
        print(json.dumps(found))
    return 0


def show(budgets: int, ways: dict[str, Measured], times: float) -> None:
    for way, (rate, mid, p99, redis) in ways.items():
        print(f"{budgets:8}  {way:6}{rate:10,.0f}{mid:11.0f}{p99:9.0f}{redis:10.1f}")
    print(f"{'':10}{times:.2f} times the cost of the bare pair")


if __name__ == "__main__":
    sys.exit(main())
