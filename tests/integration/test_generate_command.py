"""What `spendbeat generate` writes is what `spendbeat import` reads, in each format."""

from pathlib import Path

import pytest

from tests.support.captured import imported, spendbeat


@pytest.mark.parametrize("format_", ["csv", "jsonl", "parquet"])
def test_generated_traffic_can_be_imported(database: str, tmp_path: Path, format_: str) -> None:
    path = tmp_path / "traffic"
    options = ("--rows", "300", "--day", "2026-11-02", "--format", format_)
    assert spendbeat("generate", *options, "-o", str(path)).exit_code == 0
    summary = imported(path)
    assert (summary["read"], summary["imported"], summary["format"]) == (300, 300, format_)
    assert summary["ignored_columns"] == []


def test_generated_traffic_goes_through_a_pipe(database: str) -> None:
    made = spendbeat("generate", "--rows", "50", "--day", "2026-11-02")
    assert imported("-", stdin=made.stdout_bytes)["imported"] == 50
