"""Databases as LiteLLM's proxy has them: by its own migrations, all or those of an old version."""

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, text

from tests.support.databases import made, name

ROOT = Path(__file__).resolve().parents[2]
# The first version with daily tables, and still none of the columns that came after 1.65.
OLD = "20250331"


def migrations() -> list[Path]:
    """The SQL files that litellm-proxy-extras ships, in their order."""
    packages = ROOT.glob(".venv-litellm/lib/python3*/site-packages")
    folders = [path / "litellm_proxy_extras" / "migrations" for path in packages]
    found = sorted(file for folder in folders for file in folder.glob("*/migration.sql"))
    assert found, "LiteLLM's migrations are not there; './run test' installs them"
    return found


@contextmanager
def schema(server: str, until: str | None = None) -> Iterator[str]:
    """The name of an empty database with LiteLLM's schema as of a date (yyyymmdd), to clone."""
    with made(server, "litellm_template") as url:
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            with driver.cursor() as cursor:
                cursor.execute("SET synchronous_commit = off")
                for file in migrations():
                    if until is None or file.parent.name < until:
                        # A file is sent as one, and one with several statements is a transaction.
                        cursor.execute(file.read_text().replace("CONCURRENTLY", ""))
        engine.dispose()
        yield name(url)


@contextmanager
def tables(server: str, template: str) -> Iterator["LitellmTables"]:
    """A database of LiteLLM's of a test's own."""
    with made(server, "litellm_test", template) as url:
        found = LitellmTables(url)
        yield found
        found.engine.dispose()


class LitellmTables:
    """One database of LiteLLM's, written as its proxy would."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine: Engine = create_engine(url)

    def log(self, request_id: str, at: datetime, **columns: Any) -> None:
        """One row of the spend logs; a gpt-4o call of 1,000 and 100 tokens unless it says else."""
        row = {
            "request_id": request_id,
            "call_type": "acompletion",
            "api_key": "hash-1",
            "spend": 0.0035,
            "prompt_tokens": 1000,
            "completion_tokens": 100,
            "startTime": naive(at),
            "endTime": naive(at + timedelta(seconds=2)),
            "model": "gpt-4o",
            "custom_llm_provider": "openai",
            "cache_hit": "None",
            "metadata": {},
            "request_tags": [],
            **columns,
        }
        row.setdefault("total_tokens", row["prompt_tokens"] + row["completion_tokens"])
        self.insert("LiteLLM_SpendLogs", row)

    def copy(self, row: Mapping[str, Any]) -> None:
        """A row of the spend logs as the proxy gives it to Prisma, without what is no column."""
        with self.engine.begin() as connection:
            columns = connection.execute(
                text(
                    "SELECT column_name FROM information_schema.columns"
                    " WHERE table_name = 'LiteLLM_SpendLogs'"
                )
            )
            known = {name: row[name] for name in columns.scalars() if row.get(name) is not None}
        times = {
            name: naive(datetime.fromisoformat(value))
            for name, value in known.items()
            if name.endswith("Time")
        }
        self.insert("LiteLLM_SpendLogs", {**known, **times})

    def daily(self, day: date, **columns: Any) -> None:
        """One row of the daily table of users."""
        now = naive(datetime.now(UTC))
        row = {
            "id": uuid.uuid4().hex,
            "user_id": "ada",
            "date": day.isoformat(),
            "api_key": "hash-1",
            "model": "gpt-4o",
            "custom_llm_provider": "openai",
            "prompt_tokens": 1000,
            "completion_tokens": 100,
            "spend": 0.0035,
            "created_at": now,
            "updated_at": now,
            **columns,
        }
        self.insert("LiteLLM_DailyUserSpend", row)

    def insert(self, table: str, row: Mapping[str, Any]) -> None:
        """One row of any table; lists and dictionaries go in as JSON."""
        names = ", ".join(f'"{name}"' for name in row)
        binds = ", ".join(f":{name}" for name in row)
        values = {
            name: json.dumps(value) if isinstance(value, dict | list) else value
            for name, value in row.items()
        }
        with self.engine.begin() as connection:
            connection.execute(text(f'INSERT INTO "{table}" ({names}) VALUES ({binds})'), values)

    def run(self, sql: str, **binds: Any) -> None:
        """Whatever else the proxy does."""
        with self.engine.begin() as connection:
            connection.execute(text(sql), binds)

    def rewrite(self, request_id: str, **columns: Any) -> None:
        """Change columns of a row, as a settled batch does."""
        sets = ", ".join(f'"{name}" = :{name}' for name in columns)
        self.run(
            f'UPDATE "LiteLLM_SpendLogs" SET {sets} WHERE request_id = :id',
            id=request_id,
            **columns,
        )


def naive(at: datetime) -> datetime:
    """As Prisma stores it: UTC, without saying so."""
    return at.astimezone(UTC).replace(tzinfo=None)
