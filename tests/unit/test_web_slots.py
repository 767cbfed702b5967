"""Processes that count together: what is left of one that was killed."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.metrics import Scrape, parsed
from tests.support.programs import ROOT

# Counts what it is given, and says all that it knows for each further line.
PROGRAM = """
import sys
from pathlib import Path
from web.metrics import WebMetrics
metrics = WebMetrics(Path(sys.argv[1]))
metrics.in_hand.inc(int(sys.argv[2]))
metrics.sse_sent("spend", int(sys.argv[2]))
for line in sys.stdin:
    text = metrics.text().decode()
    print(len(text.encode()), flush=True)
    print(text, end="", flush=True)
"""


class Counting:
    def __init__(self, folder: Path, amount: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder), str(amount)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def says(self) -> tuple[float | None, float | None]:
        """Requests in hand and events sent, of all."""
        found = self._scrape()
        return found.value("spendbeat_http_in_hand"), found.value("spendbeat_sse_events_total")

    def _scrape(self) -> Scrape:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        return parsed(self.process.stdout.read(int(self.process.stdout.readline())).decode())

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextmanager
def counting(folder: Path, amount: int) -> Iterator[Counting]:
    found = Counting(folder, amount)
    try:
        yield found
    finally:
        found.kill()


def test_what_a_killed_process_counted_stays_and_what_it_had_in_hand_goes(tmp_path: Path) -> None:
    """At once, and also when another has taken its place; which adds no file."""
    with ExitStack() as around:
        first = around.enter_context(counting(tmp_path, 3))
        assert first.says() == (3, 3)
        second = around.enter_context(counting(tmp_path, 4))
        assert second.says() == (7, 7) == first.says()
        first.kill()
        assert second.says() == (4, 7)
        files = {file.name for file in tmp_path.iterdir()}
        third = around.enter_context(counting(tmp_path, 1))
        assert third.says() == (5, 8) == second.says()
        assert {file.name for file in tmp_path.iterdir()} == files
