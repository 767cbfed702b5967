"""A repricing that is killed in the middle and run again: one run, each request once."""

import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from tests.support import ledger
from tests.support.captured import spendbeat
from tests.support.repricing import BEGIN, book, net, price
from tests.support.waiting import wait_for
from worker.database import transaction

COMMAND = ("reprice", "--model", "large", "--from", "2026-11-01", "--to", "2027-01-01")


def test_a_repricing_killed_in_the_middle_goes_on_as_the_same_run(database: str) -> None:
    price("1")
    book(
        {"id": f"r{n}", "input_tokens": 1_000_000, "started_at": BEGIN + n * timedelta(hours=9)}
        for n in range(100)
    )
    ledger.roll()
    price("2")
    with transaction("spendbeat_owner") as session:
        # It cannot finish: nobody may write into December, though everybody may read it.
        ledger.execute(session, "LOCK TABLE cost_logs_y2026m12 IN SHARE ROW EXCLUSIVE MODE")
        process = subprocess.Popen(
            [sys.executable, "-m", "worker.cli", *COMMAND],
            cwd=Path(__file__).resolve().parent.parent.parent,
            env={**os.environ, "DATABASE_URL": database},
            stdin=subprocess.DEVNULL,
        )
        try:
            wait_for(lambda: ledger.scalar("SELECT max(rows) = 80 FROM repricings"), "November", 60)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(30)
    assert [run["state"] for run in json.loads(spendbeat("reprice", "list", "--json").stdout)] == [
        "interrupted"
    ]
    assert sorted(net().values(), key=str) == [Decimal(1)] * 20 + [Decimal(2)] * 80

    result = spendbeat(*COMMAND, "--json")
    said = json.loads(result.stdout)
    assert (said["resumes"], said["changed"], said["run"]["rows"]) == (1, 20, 100)
    assert set(net().values()) == {Decimal(2)}
    assert spendbeat("reprice", "undo", "1").exit_code == 0
    assert set(net().values()) == {Decimal(1)}
    ledger.roll()
    assert ledger.verify().mismatches == ()
