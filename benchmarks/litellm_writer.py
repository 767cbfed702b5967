"""The statements that LiteLLM's proxy sends to Postgres for its calls, sent again.

Taken from litellm 1.106.2, proxy/utils.py (update_spend_logs), proxy/db/spend_log_batching.py,
proxy/db/db_spend_update_writer.py and proxy/db/daily_spend_bulk_upsert.py. A proxy collects calls
for PROXY_BATCH_WRITE_AT (10) seconds and then writes:

- the spend logs, 100 rows a statement (SPEND_LOG_WRITE_BATCH_MAX_ROWS), each a transaction;
- the spend of each user, end user, key, team, member of a team, organization and tag that had a
  call: one UPDATE (end user: upsert) each, all of a table in one transaction;
- the daily spend of users, teams, organizations, end users and tags: one upsert per 100 distinct
  combinations of entity, day, key, model, provider and endpoint.

Left out, in LiteLLM's favour: what it writes about tools, models, routing and gateway requests,
and all that it reads.
"""

import json
import subprocess
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from psycopg2.extensions import connection

LOGS_PER_STATEMENT = 100
DAILY_PER_STATEMENT = 100
_TYPES = {
    "spend": "double precision",
    "total_tokens": "integer",
    "prompt_tokens": "integer",
    "completion_tokens": "integer",
    "request_duration_ms": "integer",
    **dict.fromkeys(
        ("startTime", "endTime", "completionStartTime", "created_at", "updated_at"), "timestamp"
    ),
    **dict.fromkeys(
        ("metadata", "request_tags", "messages", "response", "proxy_server_request"), "jsonb"
    ),
}
_COUNTERS = (
    "prompt_tokens", "completion_tokens", "api_requests", "successful_requests", "failed_requests",
    "cache_read_input_tokens", "cache_creation_input_tokens", "compression_saved_tokens",
    "total_response_time_ms", "timed_requests",
)  # fmt: skip
_SPENDS = (
    "spend", "compression_savings_spend", "prompt_caching_savings_spend",
    "gateway_injected_caching_savings_spend", "autorouter_savings_spend",
)  # fmt: skip
_KEY = ("date", "api_key", "model", "custom_llm_provider", "mcp_namespaced_tool_name", "endpoint")
_DAILY = {
    "LiteLLM_DailyUserSpend": "user_id",
    "LiteLLM_DailyTeamSpend": "team_id",
    "LiteLLM_DailyOrganizationSpend": "organization_id",
    "LiteLLM_DailyEndUserSpend": "end_user_id",
    "LiteLLM_DailyTagSpend": "tag",
}
_UPDATES = {
    "LiteLLM_UserTable": ("user_id", "user"),
    "LiteLLM_VerificationToken": ("token", "api_key"),
    "LiteLLM_TeamTable": ("team_id", "team_id"),
    "LiteLLM_OrganizationTable": ("organization_id", "organization_id"),
    "LiteLLM_TagTable": ("tag_name", "tag"),
}
Row = dict[str, Any]


def templates(root: Path, models: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Row]:
    """A spend log row of each model, as LiteLLM itself builds it."""
    command = [root / ".venv-litellm/bin/python", root / "benchmarks/litellm_payloads.py"]
    done = subprocess.run(
        [*map(str, command), json.dumps(models)], check=True, capture_output=True, text=True
    )
    return dict(zip(models, json.loads(done.stdout.splitlines()[-1]), strict=True))


def row(template: Row, event: Mapping[str, Any], *, slim: bool) -> Row:
    """The spend log of one event. slim: without LiteLLM's copy of its price list in each row."""
    began = datetime.fromisoformat(event["started_at"]).replace(tzinfo=None)
    tags = [tag for tag in str(event.get("tags") or "").split(",") if tag]
    metadata = json.loads(template["metadata"])
    if slim:
        metadata.pop("model_map_information", None)
    who = {"team_id": event["team"], "user_id": event["user_id"], "org_id": event["organization"]}
    metadata |= {f"user_api_key_{name}": value for name, value in who.items()}
    total = event["input_tokens"] + event["output_tokens"]
    metadata["usage_object"] = {
        "prompt_tokens": event["input_tokens"],
        "completion_tokens": event["output_tokens"],
        "total_tokens": total,
    }
    call = str(uuid.uuid4())
    return {
        **template,
        "request_id": event["id"],
        "api_key": sha256(event["api_key"].encode()).hexdigest(),
        "spend": total * 2.5e-6,
        "total_tokens": total,
        "prompt_tokens": event["input_tokens"],
        "completion_tokens": event["output_tokens"],
        "startTime": began,
        "endTime": began + timedelta(seconds=2),
        "completionStartTime": began + timedelta(seconds=1),
        "request_duration_ms": 2000,
        "user": event["user_id"],
        "team_id": event["team"],
        "organization_id": event["organization"],
        "end_user": event["end_user"],
        "session_id": event["session_id"],
        "status": event["status"],
        "request_tags": json.dumps(tags),
        "metadata": json.dumps({**metadata, "litellm_call_id": call}),
        "litellm_call_id": call,
        "created_at": began,
        "updated_at": began,
    }


class Writer:
    """One proxy's connection."""

    def __init__(self, connection: connection) -> None:
        self._connection = connection
        self._prepared: set[str] = set()

    def introduce(self, rows: Sequence[Row]) -> None:
        """The users, keys, teams, organizations and tags there are, before anything is measured."""
        with self._connection, self._connection.cursor() as cursor:
            cursor.execute(
                """INSERT INTO "LiteLLM_BudgetTable" (budget_id, created_by, updated_by)
                VALUES ('b', 'x', 'x') ON CONFLICT DO NOTHING"""
            )
            for table, (column, field) in _UPDATES.items():
                more = ""
                if table == "LiteLLM_OrganizationTable":
                    more = ", organization_alias, budget_id, models, created_by, updated_by"
                values = ", 'x', 'b', '{}', 'x', 'x'" if more else ""
                for value in sorted({value for each in rows for value in _values(each, field)}):
                    cursor.execute(
                        f'INSERT INTO "{table}" ({column}{more}) VALUES (%s{values})'
                        " ON CONFLICT DO NOTHING",
                        (value,),
                    )
            for team, user in sorted({(each["team_id"], each["user"]) for each in rows}):
                cursor.execute(
                    'INSERT INTO "LiteLLM_TeamMembership" (team_id, user_id) VALUES (%s, %s)'
                    " ON CONFLICT DO NOTHING",
                    (team, user),
                )

    def flush(self, rows: Sequence[Row]) -> None:
        """What the proxy writes for the calls since its last flush."""
        self.logs(rows)
        self._entities(rows)
        self._daily(rows)

    def logs(self, rows: Sequence[Row], *, nothing: bool = False) -> None:
        """The spend logs. nothing: the same values to a statement that does nothing with them."""
        for start in range(0, len(rows), LOGS_PER_STATEMENT):
            some = rows[start : start + LOGS_PER_STATEMENT]
            name = self._prepare(tuple(some[0]), len(some), nothing=nothing)
            values = [value for each in some for value in each.values()]
            holes = ", ".join(["%s"] * len(values))
            with self._connection, self._connection.cursor() as cursor:
                cursor.execute(f"EXECUTE {name} ({holes})", values)

    def _prepare(self, columns: Sequence[str], count: int, *, nothing: bool) -> str:
        name = f"{'nothing' if nothing else 'logs'}_{count}"
        if name in self._prepared:
            return name
        types = ["text" if nothing else _TYPES.get(column, "text") for column in columns] * count
        numbers = iter(range(1, len(types) + 1))
        rows = ", ".join(
            f"({', '.join(f'${next(numbers)}' for _ in columns)})" for _ in range(count)
        )
        if nothing:
            does = f"SELECT FROM (VALUES {rows}) AS v WHERE false"
        else:
            names = ", ".join(f'"{column}"' for column in columns)
            does = f'INSERT INTO "LiteLLM_SpendLogs" ({names}) VALUES {rows} ON CONFLICT DO NOTHING'
        with self._connection, self._connection.cursor() as cursor:
            cursor.execute(f"PREPARE {name} ({', '.join(types)}) AS {does}")
        self._prepared.add(name)
        return name

    def _entities(self, rows: Sequence[Row]) -> None:
        for table, (column, field) in _UPDATES.items():
            more = ", total_spend = total_spend + %s, last_active = now()" * (field == "api_key")
            with self._connection, self._connection.cursor() as cursor:
                for value, spend in sorted(_sums(rows, field).items()):
                    cursor.execute(
                        f'UPDATE "{table}" SET spend = spend + %s{more} WHERE {column} = %s',
                        (spend, spend, value) if more else (spend, value),
                    )
        with self._connection, self._connection.cursor() as cursor:
            for value, spend in sorted(_sums(rows, "end_user").items()):
                cursor.execute(
                    'INSERT INTO "LiteLLM_EndUserTable" AS t (user_id, spend, blocked)'
                    " VALUES (%s, %s, false)"
                    " ON CONFLICT (user_id) DO UPDATE SET spend = t.spend + excluded.spend",
                    (value, spend),
                )
        self._members(rows)

    def _members(self, rows: Sequence[Row]) -> None:
        spent: dict[tuple[str, str], float] = defaultdict(float)
        for each in rows:
            spent[each["team_id"], each["user"]] += each["spend"]
        members = [
            {"team_id": team, "user_id": user, "cost": cost}
            for (team, user), cost in sorted(spent.items())
        ]
        with self._connection, self._connection.cursor() as cursor:
            for team in sorted({team for team, _ in spent}):
                cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s)) IS NULL", (team,))
            cursor.execute(
                'INSERT INTO "LiteLLM_TeamMembership" AS t (user_id, team_id, spend, total_spend)'
                " SELECT user_id, team_id, cost, cost FROM jsonb_to_recordset(CAST(%s AS jsonb))"
                " AS m (user_id text, team_id text, cost float8) ON CONFLICT (user_id, team_id)"
                " DO UPDATE SET spend = t.spend + excluded.spend,"
                " total_spend = t.total_spend + excluded.total_spend",
                (json.dumps(members),),
            )

    def _daily(self, rows: Sequence[Row]) -> None:
        fields = ("user", "team_id", "organization_id", "end_user", "tag")
        for (table, column), field in zip(_DAILY.items(), fields, strict=True):
            combined = sorted(_days(rows, field).items())
            for start in range(0, len(combined), DAILY_PER_STATEMENT):
                some = combined[start : start + DAILY_PER_STATEMENT]
                columns = ("id", column, *_KEY, "model_group", *_COUNTERS, *_SPENDS)
                holes = ", ".join(["%s"] * len(columns))
                lines = ", ".join([f"({holes}, now() AT TIME ZONE 'UTC')"] * len(some))
                sums = ", ".join(
                    f'"{name}" = t."{name}" + excluded."{name}"' for name in (*_COUNTERS, *_SPENDS)
                )
                names = ", ".join(f'"{name}"' for name in columns)
                keys = ", ".join(f'"{name}"' for name in (column, *_KEY))
                values = [
                    value
                    for key, figures in some
                    for value in (str(uuid.uuid4()), *key, key[3], *figures)
                ]
                with self._connection, self._connection.cursor() as cursor:
                    cursor.execute(
                        f'INSERT INTO "{table}" AS t ({names}, updated_at) VALUES {lines}'
                        f" ON CONFLICT ({keys}) DO UPDATE SET {sums},"
                        " updated_at = now() AT TIME ZONE 'UTC'",
                        values,
                    )


def _values(each: Row, field: str) -> Iterator[str]:
    if field == "tag":
        yield from json.loads(each["request_tags"])
    elif each[field]:
        yield each[field]


def _sums(rows: Sequence[Row], field: str) -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for each in rows:
        for value in _values(each, field):
            found[value] += each["spend"]
    return found


def _days(rows: Sequence[Row], field: str) -> dict[tuple[str, ...], list[float]]:
    """Entity, day, key, model, provider, tool and endpoint to counters and spends."""
    found: dict[tuple[str, ...], list[float]] = {}
    for each in rows:
        good = each["status"] == "success"
        figures = [
            each["prompt_tokens"], each["completion_tokens"], 1, int(good), int(not good), 0, 0, 0,
            each["request_duration_ms"], 1, each["spend"], 0.0, 0.0, 0.0, 0.0,
        ]  # fmt: skip
        for value in _values(each, field):
            key = (
                value, str(each["startTime"].date()), each["api_key"], each["model"],
                each["custom_llm_provider"], "", "/chat/completions",
            )  # fmt: skip
            before = found.get(key)
            found[key] = (
                figures if before is None else [a + b for a, b in zip(before, figures, strict=True)]
            )
    return found
