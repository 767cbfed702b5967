"""An import that is killed in the middle and run again: each row once."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.captured import AZURE, azure_trace, counted, imported
from tests.support.waiting import wait_for

ROWS = 3000


def test_an_import_killed_in_the_middle_and_run_again_books_each_row_once(
    database: str, tmp_path: Path
) -> None:
    trace = tmp_path / "trace.csv"
    azure_trace(trace, ROWS)
    content = trace.read_bytes()
    process = subprocess.Popen(
        [sys.executable, "-m", "worker.cli", "import", "-", *AZURE, "--batch", "100"],
        cwd=Path(__file__).resolve().parent.parent.parent,
        env={**os.environ, "DATABASE_URL": database},
        stdin=subprocess.PIPE,
    )
    assert process.stdin is not None
    try:
        # It cannot finish: the rest of the file never comes.
        process.stdin.write(content[: len(content) // 2])
        process.stdin.flush()
        wait_for(lambda: counted()[0] >= 300, "the first batches", 60)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        process.stdin.close()
    rows, keys, _ = counted()
    assert 0 < rows == keys < ROWS
    assert rows % 100 == 0, "a batch is in whole or not at all"

    summary = imported(trace, *AZURE)
    assert (summary["imported"], summary["known"]) == (ROWS - rows, rows)
    assert counted()[:2] == (ROWS, ROWS)
    assert imported(trace, *AZURE)["imported"] == 0
