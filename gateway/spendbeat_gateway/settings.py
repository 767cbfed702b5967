"""What the environment says, read once; a mistake there never stops the program we run in."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

MEGABYTE = 1 << 20
DEFAULT_SPOOL_MB = 256
PREFIX = "SPENDBEAT_GATEWAY_"
WHO = ("organization", "project", "sprint", "agent", "user_id", "team", "api_key")


@dataclass(frozen=True)
class Settings:
    """Where events are kept and where they go.

    defaults: fields that every event has unless it says otherwise; problems: what was wrong with
    the environment, in sentences without values.
    """

    url: str | None = None
    token: str | None = field(default=None, repr=False)
    database_url: str | None = field(default=None, repr=False)
    spool: Path = field(default_factory=lambda: default_spool(os.environ))
    spool_mb: float = DEFAULT_SPOOL_MB
    defaults: Mapping[str, object] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def limit(self) -> int:
        """The spool's bound in bytes."""
        return int(self.spool_mb * MEGABYTE)

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(secret for secret in (self.token, self.database_url) if secret)


def from_environment(environment: Mapping[str, str] | None = None) -> Settings:
    env = os.environ if environment is None else environment

    def value(name: str) -> str | None:
        return env.get(PREFIX + name, "").strip() or None

    problems: list[str] = []
    megabytes = _megabytes(value("SPOOL_MB"), problems)
    url = value("URL")
    if url and not url.startswith(("http://", "https://")):
        problems.append(f"{PREFIX}URL must begin with http:// or https://; nothing is shipped")
        url = None
    spool = value("SPOOL")
    return Settings(
        url=url,
        token=value("TOKEN"),
        database_url=value("DATABASE_URL"),
        spool=Path(spool).expanduser() if spool else default_spool(env),
        spool_mb=megabytes,
        defaults=_defaults(value),
        problems=tuple(problems),
    )


def default_spool(env: Mapping[str, str]) -> Path:
    """A folder that outlives the process: the user's folder for state."""
    state = env.get("XDG_STATE_HOME")
    home = env.get("HOME") or "~"
    root = Path(state) if state else Path(home).expanduser() / ".local" / "state"
    return root / "spendbeat-gateway"


def _megabytes(text: str | None, problems: list[str]) -> float:
    if text is None:
        return DEFAULT_SPOOL_MB
    try:
        megabytes = float(text)
    except ValueError:
        megabytes = 0.0
    if 1 <= megabytes <= 1 << 20:
        return megabytes
    problems.append(
        f"{PREFIX}SPOOL_MB must be a number of megabytes from 1; {DEFAULT_SPOOL_MB} is used"
    )
    return DEFAULT_SPOOL_MB


def _defaults(value: Callable[[str], str | None]) -> dict[str, object]:
    found: dict[str, object] = {name: value(name.upper()) for name in WHO}
    tags = value("TAGS")
    if tags:
        found["tags"] = [tag.strip() for tag in tags.split(",") if tag.strip()]
    return {name: text for name, text in found.items() if text}
