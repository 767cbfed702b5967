"""`spendbeat demo`: the first thing that anybody runs."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from sqlalchemy import create_engine, text

from tests.support.homes import kill_everything, names, processes
from tests.support.programs import ROOT, Program
from tests.support.waiting import wait_for
from worker.embedded.postgres import EmbeddedPostgres

DEMO = (sys.executable, "-m", "worker.cli", "demo", "--rows", "2000")


def environment(home: Path) -> dict[str, str]:
    # Somebody's own servers, which a demo must not fill with made-up requests.
    return {
        "SPENDBEAT_HOME": str(home),
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/theirs",
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }


def once(home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEMO, "--once"],
        env={**os.environ, **environment(home)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_killed_in_the_middle_and_run_again_it_ends_with_a_proof(
    home: Path, tmp_path: Path
) -> None:
    demo = Program("demo", DEMO, tmp_path / "demo.log", environment(home)).start()
    try:
        demo.wait_for_log("Waiting for beat", 90)
        os.kill(demo.pid, signal.SIGKILL)
        again = once(home)  # while the first one's servers are still stopping
        assert again.returncode == 0, again.stdout + again.stderr
        assert "2,000 already known" in again.stdout
        assert "raw rows = rollups, difference 0 (2,000 rows" in again.stdout
        wait_for(lambda: not processes(home), "everything to be gone")
        _add_a_dollar_to_the_totals(home)
        wrong = once(home)
        assert wrong.returncode == 1
        assert "DIFFER" in wrong.stdout
        assert names(home) == []
    finally:
        demo.kill()
        kill_everything(home)


def _add_a_dollar_to_the_totals(home: Path) -> None:
    with EmbeddedPostgres(home) as postgres:
        engine = create_engine(postgres.url())
        with engine.begin() as connection:
            connection.execute(
                text("UPDATE spend_summary SET total_cost = total_cost + 1 WHERE model = 'gpt-5'")
            )
        engine.dispose()


def test_it_stays_up_until_ctrl_c_and_says_where_to_look(home: Path, tmp_path: Path) -> None:
    demo = Program("demo", DEMO, tmp_path / "demo.log", environment(home)).start()
    try:
        demo.wait_for_log("Up until Ctrl-C", 120)
        said = demo.logs()
        for door in ("Dashboard", "Flower", "Metrics"):
            assert re.search(rf"^{door}: +http://127\.0\.0\.1:", said, re.MULTILINE), door
        assert (home / "flower.password").read_text().strip() not in said, "a pipe may be kept"
        os.kill(demo.pid, signal.SIGINT)
        assert demo.process is not None
        assert demo.process.wait(60) in {0, 130}
        assert "Traceback" not in demo.logs()
        assert names(home) == []
    finally:
        demo.kill()
        kill_everything(home)
