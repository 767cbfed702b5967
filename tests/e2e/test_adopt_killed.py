"""An adoption that is killed in the middle and run again: each row once, and the sums agree."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.support.plain import ROWS, TABLE, plain_database
from tests.support.programs import ROOT
from tests.support.waiting import wait_for

COUNT = 20_000


def test_an_adoption_killed_in_the_middle_and_run_again_books_each_row_once(
    postgres_server: str, tmp_path: Path
) -> None:
    with plain_database(postgres_server, TABLE, ROWS.format(rows=COUNT)) as url:
        command = [sys.executable, "-m", "worker.cli", "ledger", "adopt", "--json"]
        rejects = ["--rejects", str(tmp_path / "rejects.csv")]
        environment = {**os.environ, "DATABASE_URL": url}
        process = subprocess.Popen(
            [*command, *rejects, "--batch", "50"],
            cwd=ROOT, env=environment, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        engine = create_engine(url)

        def booked() -> int:
            with engine.connect() as connection:
                if connection.scalar(text("SELECT to_regclass('request_keys')")) is None:
                    return 0
                return int(connection.scalar(text("SELECT count(*) FROM cost_logs")) or 0)

        try:
            wait_for(lambda: booked() >= 200, "the first batches", 60)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(30)
        before = booked()
        assert 0 < before < COUNT
        assert before % 50 == 0, "a batch is in whole or not at all"

        again = subprocess.run(
            [*command, *rejects], cwd=ROOT, env=environment, capture_output=True, check=False
        )
        engine.dispose()
        assert again.returncode == 0, again.stderr.decode()
        found = json.loads(again.stdout)
        assert (found["imported"], found["known"]) == (COUNT - before, before)
        assert found["balance"]["agrees"]
        assert found["balance"]["booked"]["rows"] == COUNT


@pytest.mark.parametrize("moment", ["set aside", "migrated"])
def test_one_that_ended_before_it_booked_anything_goes_on(
    postgres_server: str, tmp_path: Path, moment: str
) -> None:
    """Killed after the table was renamed, or after the schema was made."""
    steps = ["ALTER TABLE cost_logs RENAME TO cost_logs_adopted",
             "ALTER SEQUENCE cost_logs_id_seq RENAME TO cost_logs_id_seq_adopted"]  # fmt: skip
    with plain_database(postgres_server, TABLE, ROWS.format(rows=5), *steps) as url:
        environment = {**os.environ, "DATABASE_URL": url}

        def run(*arguments: str) -> str:
            done = subprocess.run(
                [sys.executable, "-m", "worker.cli", *arguments],
                cwd=ROOT, env=environment, capture_output=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr.decode()
            return done.stdout.decode()

        if moment == "migrated":
            run("migrate")
        rejects = ("--rejects", str(tmp_path / "r.csv"))
        assert json.loads(run("ledger", "adopt", "--json", *rejects))["imported"] == 5
