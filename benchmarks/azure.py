"""Real traffic through the running system: imported, killed, imported again, to the last digit.

Takes the folder with azure_llm_inference_2023_conv.csv and azure_llm_inference_2023_code.csv.
Source: Azure Public Dataset, "Azure LLM inference trace 2023", CC-BY 4.0,
https://github.com/Azure/AzurePublicDataset; Patel et al., "Splitwise: Efficient generative LLM
inference using phase splitting", ISCA 2024. The traces name no model: gpt-4o and gpt-4o-mini at
their list prices stand in.

Starts `spendbeat up` in a home of its own. Three rounds import both files; in the second and the
third one, worker, beat and Postgres are killed with SIGKILL in the middle. After each round the
ledger and the rollups must equal sums made by nothing but csv and Decimal, and the audit agree.

    ./run bench azure ../shared/data
"""

import argparse
import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import psutil
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from worker.embedded import paths

CLI = [sys.executable, "-m", "worker.cli"]
# Dollars per million input and output tokens: OpenAI's list prices, typed in by hand, so that
# the sums below share no code and no data with what they check.
TRACES = {
    "conv": ("gpt-4o", Decimal("2.50"), Decimal("10.00")),
    "code": ("gpt-4o-mini", Decimal("0.15"), Decimal("0.60")),
}
FIGURES = "count(*), sum(input_tokens), sum(output_tokens), sum(cost_usd)"
LEDGER = f"SELECT model, {FIGURES} FROM cost_logs WHERE provider = 'azure' GROUP BY 1"
ROLLED_UP = (
    "SELECT model, requests, input_tokens, output_tokens, total_cost FROM spend_summary"
    " WHERE provider = 'azure'"
)
Totals = dict[str, tuple[int, int, int, Decimal]]


def trace(folder: Path, name: str) -> Path:
    return folder / f"azure_llm_inference_2023_{name}.csv"


def expected(folder: Path) -> Totals:
    """Requests, tokens and cost per model, by nothing but csv and Decimal."""
    totals: Totals = {}
    for name, (model, per_input, per_output) in TRACES.items():
        rows, tokens, output, cost = 0, 0, 0, Decimal(0)
        with trace(folder, name).open(newline="") as file:
            for row in csv.DictReader(file):
                a, b = int(row["ContextTokens"]), int(row["GeneratedTokens"])
                rows, tokens, output = rows + 1, tokens + a, output + b
                cost += (a * per_input + b * per_output) / 1_000_000
        totals[model] = rows, tokens, output, cost
    return totals


def import_command(folder: Path, name: str) -> list[str]:
    command = [*CLI, "import", str(trace(folder, name)), "--timezone", "UTC", "--batch", "500"]
    for field, column in (
        ("started_at", "TIMESTAMP"),
        ("input_tokens", "ContextTokens"),
        ("output_tokens", "GeneratedTokens"),
    ):
        command += ["--map", f"{field}={column}"]
    for constant in ("provider=azure", f"model={TRACES[name][0]}", f"project={name}"):
        command += ["--set", constant]
    return command


class System:
    """`spendbeat up` in a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {
            **{k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "REDIS_URL"}},
            "SPENDBEAT_HOME": str(home),
            "SPENDBEAT_TICK_SECONDS": "1",
            "SPENDBEAT_FLOWER_PORT": "0",
            "SPENDBEAT_METRICS_PORT": "0",
        }
        self._log = (home.parent / "up.log").open("wb")
        self._process = subprocess.Popen(
            [*CLI, "up"], env=self.environment, stdout=self._log, stderr=self._log
        )
        self._engine = create_engine(paths.postgres_url(home), pool_pre_ping=True)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)
        self._log.close()

    def totals(self, sql: str) -> Totals:
        with self._engine.connect() as connection:
            return {row[0]: tuple(row[1:]) for row in connection.execute(text(sql))}

    def is_up(self) -> bool:
        return self._process.poll() is None and (self.home / "up.json").exists()

    def kill(self, what: str) -> None:
        """SIGKILL to a program of ours, with nothing around it."""
        if what == "postgres":
            pid = int((paths.postgres_data(self.home) / "postmaster.pid").read_text().split()[0])
            os.kill(pid, signal.SIGKILL)
            return
        for child in psutil.Process(self._process.pid).children(recursive=True):
            words = child.cmdline()
            if what in words and "celery" in words:
                child.kill()
                return

    def run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False
        )


def wait_for(what: str, condition: Callable[[], bool], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except DBAPIError:
            pass  # Postgres was killed and is on its way back
        if time.monotonic() > end:
            raise SystemExit(f"Waited {seconds:.0f} s in vain for {what}.")
        time.sleep(0.1)


def load(system: System, folder: Path, name: str, kills: Iterator[str]) -> None:
    """Import one file; while it runs, kill what `kills` says, and import again until it is in."""
    command = import_command(folder, name)
    for attempt in range(10):
        with subprocess.Popen(
            command,
            env=system.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as running:
            if victim := next(kills, None):
                time.sleep(0.6 + random.random())  # into the middle of the import
                system.kill(victim)
                print(f"  {name}: killed {victim}")
            said, _ = running.communicate()
        lines = [line for line in said.splitlines() if line.strip()]
        print(f"  {name}: {lines[-1] if lines else ''}")
        if running.returncode == 0:
            return
        wait_for("Postgres", lambda: bool(system.totals(ROLLED_UP)) or True)
        print(f"  {name}: again ({attempt + 1})")
    raise SystemExit(f"{name} could not be imported:\n{said}")


@contextmanager
def running() -> Iterator[System]:
    with tempfile.TemporaryDirectory(prefix="spendbeat-bench-") as folder:
        Path(folder).chmod(0o711)  # the servers may run as nobody
        system = System(Path(folder) / "home")
        try:
            wait_for("the system to start", system.is_up)
            yield system
        finally:
            system.stop()


def check(system: System, computed: Totals) -> bool:
    """Wait for the rollups, compare them and the ledger with the sums, and audit."""
    wait_for("the rollups", lambda: system.totals(ROLLED_UP) == system.totals(LEDGER) != {})
    ledger, rolled_up = system.totals(LEDGER), system.totals(ROLLED_UP)
    audit = system.run([*CLI, "verify", "--json"])
    agrees = audit.returncode == 0 and json.loads(audit.stdout)["agrees"]
    for model, (requests, tokens, output, cost) in rolled_up.items():
        print(f"  {model}: {requests:,} requests, {tokens:,} + {output:,} tokens, ${cost}")
    print(f"  ledger = computed: {ledger == computed}; rollups = computed:"
          f" {rolled_up == computed}; verify: difference {'0' if agrees else 'FOUND'}")  # fmt: skip
    return ledger == computed == rolled_up and agrees


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(argv)
    computed = expected(options.folder)
    for model, (requests, tokens, output, cost) in computed.items():
        print(f"computed {model}: {requests:,} requests, {tokens:,} + {output:,} tokens, ${cost}")
    fine = True
    with running() as system:
        for title, victims in (
            ("killed while importing", ["postgres", "worker", "beat", "postgres", "worker"]),
            ("imported again", []),
            ("imported again, killed again", ["beat", "worker", "postgres"]),
        ):
            print(f"{title}:")
            kills = iter(victims)
            for name in TRACES:
                load(system, options.folder, name, kills)
            fine &= check(system, computed)
    print("Equal to the last digit." if fine else "NOT EQUAL.")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
