"""Files to import, and what the ledger holds after an import."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from sqlalchemy import text

from worker.cli.root import cli
from worker.database import transaction

AZURE = (
    "--map", "started_at=TIMESTAMP",
    "--map", "input_tokens=ContextTokens",
    "--map", "output_tokens=GeneratedTokens",
    "--timezone", "UTC",
    "--set", "provider=azure",
    "--set", "model=gpt-4o",
    "--set", "project=conv",
)  # fmt: skip


def azure_trace(path: Path, rows: int) -> list[tuple[int, int]]:
    """A file as the public Azure traces are: CRLF, 100 ns, no end of the last line, no ids.

    Returns its (input, output) tokens. Every seventh line is there twice.
    """
    begin = datetime(2023, 11, 16, 18, 15, 46, tzinfo=UTC)
    lines = ["TIMESTAMP,ContextTokens,GeneratedTokens"]
    tokens: list[tuple[int, int]] = []
    for n in range(rows):
        if n % 7 == 6:
            lines.append(lines[-1])
            tokens.append(tokens[-1])
            continue
        at = begin + timedelta(microseconds=123_457 * n)
        tokens.append((374 + n * 37 % 4000, 44 + n * 11 % 900))
        lines.append(f"{at:%Y-%m-%d %H:%M:%S.%f}{n % 10},{tokens[-1][0]},{tokens[-1][1]}")
    path.write_bytes("\r\n".join(lines).encode())
    return tokens


def spendbeat(*arguments: str, stdin: bytes | None = None) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(cli, arguments, input=stdin)


def imported(path: Path | str, *arguments: str, stdin: bytes | None = None) -> Mapping[str, Any]:
    """Import a file; the summary."""
    result = spendbeat("import", str(path), "--json", *arguments, stdin=stdin)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    summary: dict[str, Any] = json.loads(result.stdout)
    return summary


def ledger(columns: str = "*") -> list[Any]:
    """The rows of the ledger in the order of their ids."""
    with transaction("spendbeat_reader") as session:
        return list(session.execute(text(f"SELECT {columns} FROM cost_logs ORDER BY id")))


def counted() -> tuple[int, int, Decimal]:
    """How many rows and keys there are, and what the rows cost together."""
    with transaction("spendbeat_reader") as session:
        rows, cost = session.execute(
            text("SELECT count(*), coalesce(sum(cost_usd), 0) FROM cost_logs")
        ).one()
        keys = session.scalar(text("SELECT count(*) FROM request_keys"))
        return rows, keys or 0, cost
