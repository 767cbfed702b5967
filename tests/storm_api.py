"""Ask every route in ways made from its description, with every kind of token, for minutes.

    ./run storm api --minutes 10

One service is asked by several callers at once who may do everything; the answers of another one
to tenants and strangers are compared with those of a third, which knows nobody but them. Prints how
often what was answered, and what was wrong; exit code 1 if there was an error of ours, an answer
that the description does not know, or anybody heard of others.
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from multiprocessing.queues import SimpleQueue
from pathlib import Path

from benchmarks.stack import database, server
from tests.support.api_fuzz import Fuzz
from tests.support.leaks import LISTS, OPEN, TOLD, compare, watch
from tests.support.valkey import valkey
from tests.support.worlds import NOBODYS, OURS, THEIRS, World, world

# Neither Hypothesis nor what makes the requests knows threads well.
_FORK = multiprocessing.get_context("fork")


@dataclass
class Findings:
    """What was wrong: how often, and the first of its kind in full."""

    seen: Counter[tuple[str, int]] = field(default_factory=Counter)  # token, status
    routes: set[str] = field(default_factory=set)
    wrong: Counter[tuple[str, str]] = field(default_factory=Counter)
    first: dict[tuple[str, str], str] = field(default_factory=dict)

    def attempt(self, what: str, do: Callable[[], object]) -> None:
        try:
            do()
        except Exception as error:  # noqa: BLE001 - everything is a finding, and the rest is asked too
            self.note(what, type(error).__name__, str(error)[:3000])

    def note(self, what: str, kind: str, words: str) -> None:
        self.wrong[what, kind] += 1
        self.first.setdefault((what, kind), words)

    def join(self, other: "Findings") -> None:
        self.seen += other.seen
        self.routes |= other.routes
        self.wrong += other.wrong
        self.first = {**other.first, **self.first}

    def add(self, fuzz: Fuzz) -> None:
        for (route, kind, status), times in fuzz.seen.items():
            self.seen[kind, status] += times
            self.routes.add(route)
        fuzz.seen.clear()


@contextmanager
def worlds(folder: Path, server_url: str, *marks: str) -> Iterator[World]:
    with database(server_url) as url, valkey() as redis:
        path = redis.url.removeprefix("unix://")
        with world(folder, url, f"redis+socket://{path}?virtual_host=0", marks) as found:
            yield found


def change(found: Findings, there: World, seed: int, examples: int, callers: int) -> None:
    """Several callers at once change everything; the first goes to the limits of each rule."""
    heard: SimpleQueue[Findings] = _FORK.SimpleQueue()

    def call(number: int) -> None:
        mine = Findings()
        with there.again() as world_:
            fuzz = Fuzz(world_, examples, seed=1000 * seed + number, known=known)
            for operation in fuzz.operations():
                for case in fuzz.limits(operation) if number == 0 else ():
                    mine.attempt(operation.label, lambda c=case: fuzz.answer(c, "operator"))
                mine.attempt(
                    operation.label, lambda o=operation: fuzz.each(o, fuzz.answer, ["operator"])
                )
            mine.add(fuzz)
        heard.put(mine)

    known = {"after": there.places(*LISTS)}
    processes = [_FORK.Process(target=call, args=[number]) for number in range(callers)]
    for process in processes:
        process.start()
    for _ in processes:
        found.join(heard.get())
    for process in processes:
        process.join()
    if "failed with" in there.program.logs():
        found.note("the log", "an error of ours", there.program.logs()[-3000:])


def listen(found: Findings, both: World, alone: World, seed: int, examples: int) -> None:
    """What tenants and strangers hear."""
    for path in TOLD:
        found.attempt(path, lambda p=path: compare(both, alone, p))
    known = {"after": both.places(*LISTS)}
    fuzz = Fuzz(both, examples, seed=seed, known=known)
    for operation in fuzz.operations():
        is_open = operation.label in OPEN
        found.attempt(
            operation.label, lambda o=operation, i=is_open: watch(fuzz, alone, o, is_open=i)
        )
    found.add(fuzz)


def report(found: Findings) -> bool:
    """Print all of it; whether nothing was wrong."""
    print(f"\n{found.seen.total():,} answers of {len(found.routes)} routes")
    for kind in sorted({kind for kind, _ in found.seen}):
        said = sorted((status, n) for (one, status), n in found.seen.items() if one == kind)
        print(f"  {kind:14}", ", ".join(f"{n:,} x {status}" for status, n in said))
    for kind, times in found.wrong.most_common():
        print(f"\nWRONG, {times} times: {kind[0]}, {kind[1]}\n{found.first[kind]}")
    print("Nothing was wrong." if not found.wrong else f"{found.wrong.total()} WRONG.")
    return not found.wrong


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--examples", type=int, default=25, help="of each route and round")
    parser.add_argument("--callers", type=int, default=3, help="that change things at once")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    found = Findings()
    end = time.monotonic() + options.minutes * 60
    with tempfile.TemporaryDirectory() as name, server() as url, ExitStack() as stack:
        folder = Path(name)
        both = stack.enter_context(worlds(folder, url, OURS, THEIRS, NOBODYS))
        alone = stack.enter_context(worlds(folder, url, OURS))
        for seed in count(options.seed):
            listen(found, both, alone, seed, options.examples)
            with worlds(folder, url, OURS, THEIRS, NOBODYS) as changed:
                change(found, changed, seed, options.examples, options.callers)
            print(f"seed {seed}: {found.seen.total():,} answers, {found.wrong.total()} wrong")
            if time.monotonic() > end:
                break
    return 0 if report(found) else 1


if __name__ == "__main__":
    sys.exit(main())
