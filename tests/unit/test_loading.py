"""What each program leaves out, since memory is counted per process."""

import subprocess
import sys

import pytest

from tests.support.programs import ROOT

APP = "from worker.celery import app; app.conf.broker_url"
TASKS = f"{APP}; app.loader.import_default_modules()"
DELIVERY = f"{APP}; app.conf.include = ('tasks.delivery',); app.loader.import_default_modules()"


@pytest.mark.parametrize(
    ("program", "code", "absent"),
    [
        ("beat", APP, {"sqlalchemy", "tasks.ticks"}),
        (
            "flower",
            f"{APP}; import flower.options, flowerconfig; {TASKS}",
            {"sqlalchemy", "tasks.ticks"},
        ),
        ("worker", TASKS, {"pyarrow", "genai_prices.data", "click_repl", "flower"}),
        ("delivery", DELIVERY, {"pyarrow", "tasks.ticks", "spend.pricing", "click_repl"}),
    ],
    ids=["beat", "flower", "worker", "delivery"],
)
def test_a_program_does_not_load_what_it_does_not_need(
    program: str, code: str, absent: set[str]
) -> None:
    """17 MB for SQLAlchemy, 32 for pyarrow, 22 for the price lists, 15 for Celery's commands."""
    source = f"import sys, worker.light; {code}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", source],
        env={"REDIS_URL": "redis://localhost", "DATABASE_URL": "postgresql://localhost/x"},
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert set(done.stdout.split()) & absent == set(), program
