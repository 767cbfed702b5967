"""How much memory the workers (2 processes, and one that delivers), beat and Flower take, as PSS.

PSS is a process's own memory plus its share of what it shares with others, so the sum over
processes counts everything once. Run it while the system is up; it finds the processes by their
command line, `-m worker.light ...` or `celery -A worker ...`, and reads /proc.

    python benchmarks/memory.py --seconds 60 --below 300
"""

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

PROGRAMS = ("worker", "delivery", "beat", "flower")
_MEGA = 1024  # smaps_rollup counts kilobytes


def program_of(words: list[str]) -> str | None:
    """Which of our programs a command line is; None for all others."""
    if "worker.light" in words[:-1]:
        return words[-1]
    if "-A" not in words or not any(Path(word).name == "celery" for word in words[:4]):
        return None
    return next((word for word in words[words.index("-A") + 2 :] if word in PROGRAMS), None)


def processes() -> Iterable[tuple[str, int]]:
    """Program and pid of each process that runs now."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_text().rstrip("\0").split("\0")
        except OSError:
            continue
        if program := program_of(words):
            yield program, int(entry.name)


def pss(pid: int) -> float:
    """Megabytes; 0 for a process that just ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    found = next((line.split()[1] for line in lines if line.startswith("Pss:")), "0")
    return int(found) / _MEGA


def descends(pid: int, ancestor: int) -> bool:
    """Whether `ancestor` is the process, its parent, or further up."""
    while pid > 1 and pid != ancestor:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return False
        pid = int(stat.rpartition(")")[2].split()[1])
    return pid == ancestor


def measure(under: int = 1) -> dict[str, float]:
    """Megabytes by program, and in all, of the processes that descend from `under`."""
    found: dict[str, float] = defaultdict(float)
    for program, pid in processes():
        if descends(pid, under):
            found[program] += pss(pid)
    return {**found, "all": sum(found.values())}


def main(argv: Sequence[str] | None = None) -> int:
    """Print the largest figures of the time; 1 if there is nothing to see or it is too much."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=0, help="how long to watch")
    parser.add_argument("--every", type=float, default=1, help="seconds between two looks")
    parser.add_argument("--below", type=float, help="fail where the sum is not below this, in MB")
    parser.add_argument(
        "--under", type=int, default=1, help="only descendants of this pid ('spendbeat up')"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args(argv)

    end = time.monotonic() + chosen.seconds
    most = measure(chosen.under)
    while time.monotonic() < end:
        time.sleep(chosen.every)
        now = measure(chosen.under)
        most = {name: max(most.get(name, 0), now.get(name, 0)) for name in most | now}
    if missing := [name for name in PROGRAMS if name not in most and name != "delivery"]:
        print(
            f"Not running: {', '.join(missing)}. Start them with 'spendbeat up'.", file=sys.stderr
        )
        return 1
    if chosen.json:
        print(json.dumps({name: round(value, 1) for name, value in most.items()}))
    else:
        for name in (*PROGRAMS, "all"):
            print(f"{name:8} {most.get(name, 0):7.1f} MB PSS")
    return int(chosen.below is not None and most["all"] >= chosen.below)


if __name__ == "__main__":
    sys.exit(main())
