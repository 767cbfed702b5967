"""Rows of LiteLLM_SpendLogs, page by page; columns that a version does not have are NULL.

A page is first read as heads, an id and a hash of what decides about cost and tokens; whole rows
are fetched only where that hash is new to us. Prompts and answers are never read.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, TextClause, text

from spend.litellm.source import SPEND_LOGS, Source

# Columns of later versions and those that a narrow GRANT may leave out.
OPTIONAL = (
    "call_type", "api_key", "total_tokens", "endTime", "model_id", "model_group",
    "custom_llm_provider", "user", "cache_hit", "request_tags", "team_id", "organization_id",
    "end_user", "session_id", "status", "agent_id", "litellm_call_id",
)  # fmt: skip
_HASHED = (
    "prompt_tokens", "completion_tokens", "total_tokens", "model", "custom_llm_provider",
    "status", "cache_hit", "updated_at",
)  # fmt: skip
# The metadata has room for prompts, answers of guardrails and 190 price fields per row.
_KEPT = (
    "CASE WHEN jsonb_typeof(metadata) = 'object' THEN (SELECT jsonb_object_agg(key, value)"
    " FROM jsonb_each(metadata) WHERE key LIKE 'user\\_api\\_key%' OR key IN ("
    "'usage_object', 'additional_usage_values', 'cost_breakdown', 'status', 'litellm_call_id',"
    " 'spend_logs_metadata', 'requester_metadata', 'service_tier', 'cache_hit')) END"
)
_MAP_KEY = (
    "CASE WHEN jsonb_typeof(metadata) = 'object'"
    " THEN metadata #>> '{model_map_information,model_map_value,key}' END"
)


class Head(NamedTuple):
    """Which row it is, when its request began, and the hash of what it says (as hex)."""

    request_id: str
    started_at: datetime
    hash: str


class Logs:
    """The statements that read one database's spend logs, made for the columns it has."""

    def __init__(self, source: Source, columns: frozenset[str]) -> None:
        self._heads = _heads(source.table(SPEND_LOGS), columns)
        self._rows = _rows(source.table(SPEND_LOGS), columns)

    def heads(
        self,
        connection: Connection,
        after: tuple[datetime, str],
        until: datetime | None,
        limit: int,
    ) -> list[Head]:
        """The next rows in the order of ("startTime", request_id)."""
        at, id_ = after
        binds = {"at": at, "id": id_, "until": until, "limit": limit}
        return [Head(*row) for row in connection.execute(self._heads, binds)]

    def rows(self, connection: Connection, heads: Sequence[Head]) -> list[Mapping[str, Any]]:
        """Whole rows of one page, those that are still there, each with its present hash."""
        times = [head.started_at for head in heads]
        binds = {
            "ids": [head.request_id for head in heads],
            "first": min(times),
            "last": max(times),
        }
        return [dict(row) for row in connection.execute(self._rows, binds).mappings()]


def _heads(table: str, columns: frozenset[str]) -> TextClause:
    return text(
        f"SELECT request_id, \"startTime\" AT TIME ZONE 'UTC', {_hash(columns)} AS hash\n"
        f"FROM {table}\n"
        "WHERE \"startTime\" >= CAST(:at AS timestamptz) AT TIME ZONE 'UTC'\n"
        "  AND (\"startTime\", request_id) > (CAST(:at AS timestamptz) AT TIME ZONE 'UTC', :id)\n"
        "  AND (CAST(:until AS timestamptz) IS NULL\n"
        "    OR \"startTime\" < CAST(:until AS timestamptz) AT TIME ZONE 'UTC')\n"
        'ORDER BY "startTime", request_id LIMIT :limit'
    )


def _rows(table: str, columns: frozenset[str]) -> TextClause:
    optional = ", ".join(
        f'"{name}"' if name in columns else f'NULL AS "{name}"' for name in OPTIONAL
    )
    metadata, key = (_KEPT, _MAP_KEY) if "metadata" in columns else ("NULL", "NULL")
    return text(
        "SELECT request_id, \"startTime\" AT TIME ZONE 'UTC' AS started_at,\n"
        f"  {_hash(columns)} AS hash,\n"
        "  CAST(spend AS text) AS spend, prompt_tokens, completion_tokens, model,\n"
        f"  {optional},\n  {metadata} AS metadata, {key} AS map_key\n"
        f"FROM {table}\n"
        "WHERE request_id = ANY(:ids)\n"
        "  AND \"startTime\" >= CAST(:first AS timestamptz) AT TIME ZONE 'UTC'\n"
        "  AND \"startTime\" <= CAST(:last AS timestamptz) AT TIME ZONE 'UTC'"
    )


def _hash(columns: frozenset[str]) -> str:
    # Nothing of the metadata, which is kilobytes per row: a sweep costs that server no more than
    # short columns. Text of a float is its shortest form, so the hash does not depend on settings.
    parts = ["CAST(spend AS text)"]
    parts += [f'"{name}"' for name in _HASHED if name in columns]
    joined = ", ".join(f"coalesce(CAST({part} AS text), '')" for part in parts)
    return f"md5(concat_ws(chr(31), {joined}))"
