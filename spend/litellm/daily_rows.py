"""Rows of LiteLLM's daily tables as requests: sums of a day, less what the day's logs say."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, text

from spend.capture import litellm
from spend.litellm.source import SPEND_LOGS, Source

USERS, TEAMS = "LiteLLM_DailyUserSpend", "LiteLLM_DailyTeamSpend"
_NEEDED = {"date", "api_key", "model", "spend", "prompt_tokens", "completion_tokens", "created_at"}
_KEYS = ("user_id", "api_key", "model", "custom_llm_provider")
_COUNTS = (
    "prompt_tokens", "completion_tokens", "cache_read_input_tokens",
    "cache_creation_input_tokens", "api_requests",
)  # fmt: skip
# Floats that were added up in another order differ in their last digits.
_NANO = Decimal("0.000000001")
TAG = "litellm-daily"


@dataclass(frozen=True, slots=True)
class Group:
    """What a day's requests of one user, key, model and provider come to."""

    id: str
    day: date
    first_at: datetime  # when the first of them was written
    user_id: str
    api_key: str
    model: str
    provider: str
    team: str | None
    spend: Decimal
    counts: tuple[int, ...]

    @property
    def empty(self) -> bool:
        """Whether the logs say all of it."""
        return not self.spend and not any(self.counts[:2])

    @property
    def hash(self) -> str:
        """Changes whenever a figure does, as hex."""
        said = f"{self.spend}\t{self.counts}"
        return hashlib.blake2b(said.encode(), digest_size=16).hexdigest()

    @property
    def started_at(self) -> datetime:
        """A moment of that day which has passed, the same in every run."""
        start = day_start(self.day)
        return min(max(self.first_at, start), start + timedelta(hours=12))

    def fields(self, called: Mapping[str, str]) -> dict[str, object]:
        """The fields of the request that stands for them all."""
        prompt, answer, read, written, _ = self.counts
        fields = litellm.request(
            {
                "id": self.id,
                "startTime": self.started_at.timestamp(),
                "status": "success",
                "model": self.model,
                "custom_llm_provider": self.provider,
                "response_cost": self.spend,
                "request_tags": [TAG],
                "metadata": {
                    "user_api_key_hash": self.api_key,
                    "user_api_key_alias": called.get(self.api_key),
                    "user_api_key_user_id": self.user_id,
                    "user_api_key_team_id": self.team,
                    "usage_object": {
                        "prompt_tokens": max(prompt, read + written),
                        "completion_tokens": answer,
                        "cache_read_input_tokens": read,
                        "cache_creation_input_tokens": written,
                    },
                },
            }
        )
        return {**fields, "id": self.id, "other_ids": []}


class Tables:
    """The statements for the daily tables that one database has."""

    def __init__(
        self, source: Source, users: frozenset[str], teams: frozenset[str], logs: frozenset[str]
    ) -> None:
        self.prefix = f"{TAG}:{source.name}:"
        self._source = source
        self._users = users
        self._teams = teams
        self._logs = logs

    @classmethod
    def of(cls, source: Source, connection: Connection) -> "Tables | None":
        """None where the daily table is not there or may not be read."""
        users = source.columns(connection, USERS)
        if not users >= _NEEDED:
            return None
        return cls(
            source, users, source.columns(connection, TEAMS), source.columns(connection, SPEND_LOGS)
        )

    def ahead(self, connection: Connection, first: date, apart: timedelta) -> bool:
        """Whether the daily table is being written and the logs are not."""
        end = '"endTime"' if "endTime" in self._logs else '"startTime"'
        logged = connection.scalar(
            text(
                f"SELECT max(ended) AT TIME ZONE 'UTC' FROM (SELECT {end} AS ended"  # noqa: S608 - names of tables and columns
                f" FROM {self._source.table(SPEND_LOGS)} WHERE model <> ''"
                ' ORDER BY "startTime" DESC LIMIT 100) AS newest'
            )
        )
        written = "updated_at" if "updated_at" in self._users else "created_at"
        summed = connection.scalar(
            text(
                f"SELECT max({written}) AT TIME ZONE 'UTC' FROM {self._source.table(USERS)}"  # noqa: S608 - as above
                " WHERE date >= :first"
            ),
            {"first": first.isoformat()},
        )
        return summed is not None and (logged is None or summed - logged > apart)

    def days(self, connection: Connection, first: date | None) -> list[date]:
        """The days that the daily table has, the oldest first."""
        found = connection.scalars(
            text(
                f"SELECT DISTINCT date FROM {self._source.table(USERS)}"  # noqa: S608 - as above
                " WHERE date >= :first ORDER BY date"
            ),
            {"first": (first or date(2020, 1, 1)).isoformat()},
        )
        return [date.fromisoformat(str(day)[:10]) for day in found]

    def groups(self, connection: Connection, day: date) -> list[Group]:
        """What is left of a day's sums when its logs are taken off; also where that is nothing."""
        start = day_start(day)
        summed = _keyed(connection, self._sums(), {"day": day.isoformat()})
        logged = _keyed(
            connection, self._logged(), {"first": start, "last": start + timedelta(days=1)}
        )
        teams = self._teams_of(connection, day)
        made = [self._group(day, key, row, logged.get(key), teams) for key, row in summed.items()]
        return [group for group in made if group.model]

    def _group(
        self,
        day: date,
        key: tuple[str, ...],
        row: Mapping[str, Any],
        logged: Mapping[str, Any] | None,
        teams: Mapping[str, str],
    ) -> Group:
        spend = row["spend"] - (logged["spend"] if logged else 0)
        counts = [int(row[name] - (logged[name] if logged else 0)) for name in _COUNTS]
        named = hashlib.sha256("\0".join(key).encode()).hexdigest()[:32]
        user, api_key, model, provider = key
        return Group(
            f"{self.prefix}{day}:{named}", day, row["first_at"], user, api_key, model, provider,
            teams.get(api_key), max(spend.quantize(_NANO), Decimal(0)),
            tuple(max(count, 0) for count in counts),
        )  # fmt: skip

    def _sums(self) -> str:
        counts = ", ".join(
            f"CAST(coalesce(sum({name}), 0) AS bigint) AS {name}" if name in self._users
            else f"CAST(0 AS bigint) AS {name}"
            for name in _COUNTS
        )  # fmt: skip
        keys = ", ".join(
            f"coalesce({name}, '') AS {name}" if name in self._users else f"'' AS {name}"
            for name in _KEYS
        )
        return (
            f"SELECT {keys}, sum(CAST(CAST(spend AS text) AS numeric)) AS spend, {counts},"  # noqa: S608 - as above
            " min(created_at) AT TIME ZONE 'UTC' AS first_at"
            f" FROM {self._source.table(USERS)} WHERE date = :day GROUP BY 1, 2, 3, 4"
        )

    def _logged(self) -> str:
        # In the order of _KEYS; the daily tables call these columns by other names.
        columns = ("user", "api_key", "model", "custom_llm_provider")
        keys = ", ".join(
            f"coalesce(\"{name}\", '') AS {key}" if name in self._logs else f"'' AS {key}"
            for key, name in zip(_KEYS, columns, strict=True)
        )
        return (
            f"SELECT {keys}, sum(CAST(CAST(spend AS text) AS numeric)) AS spend,"  # noqa: S608 - as above
            " sum(prompt_tokens) AS prompt_tokens, sum(completion_tokens) AS completion_tokens,"
            " 0 AS cache_read_input_tokens, 0 AS cache_creation_input_tokens,"
            f" count(*) AS api_requests FROM {self._source.table(SPEND_LOGS)}"
            " WHERE \"startTime\" >= CAST(:first AS timestamptz) AT TIME ZONE 'UTC'"
            " AND \"startTime\" < CAST(:last AS timestamptz) AT TIME ZONE 'UTC'"
            " AND model <> '' GROUP BY 1, 2, 3, 4"
        )

    def _teams_of(self, connection: Connection, day: date) -> dict[str, str]:
        """The team of each key that has one."""
        if not {"team_id", "date", "api_key"} <= self._teams:
            return {}
        rows: Sequence[Any] = connection.execute(
            text(
                f"SELECT api_key, min(team_id) FROM {self._source.table(TEAMS)}"  # noqa: S608 - as above
                " WHERE date = :day AND team_id <> '' GROUP BY 1 HAVING count(DISTINCT team_id) = 1"
            ),
            {"day": day.isoformat()},
        ).all()
        return dict(rows)


def day_start(day: date) -> datetime:
    """Midnight UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _keyed(
    connection: Connection, statement: str, binds: Mapping[str, object]
) -> dict[tuple[str, ...], dict[str, Any]]:
    rows = connection.execute(text(statement), binds).mappings()
    return {tuple(row[name] for name in _KEYS): dict(row) for row in rows}
