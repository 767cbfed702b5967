"""Settings, read once from the environment into a frozen object."""

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from spend.errors import SpendbeatError
from worker.embedded import paths

Port = Annotated[int, Field(ge=0, le=65535)]


class SettingsError(SpendbeatError):
    """The settings are not usable."""


def default_home() -> Path:
    """Where embedded servers keep their data: a folder that survives the checkout.

    As root the servers run as `nobody`, who cannot enter root's home.
    """
    if os.geteuid() == 0:
        return Path("/var/lib/spendbeat")
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "spendbeat"


class Settings(BaseSettings):
    """Every setting, its meaning and its default; docs/configuration.md is the same list."""

    model_config = SettingsConfigDict(
        frozen=True, env_prefix="SPENDBEAT_", populate_by_name=True, extra="ignore"
    )

    database_url: str | None = Field(
        None,
        validation_alias="DATABASE_URL",
        description="Postgres 15 to 18; without it an embedded one under SPENDBEAT_HOME is used",
    )
    redis_url: str | None = Field(
        None,
        validation_alias="REDIS_URL",
        description="Redis 6.2+ or Valkey; without it an embedded one under SPENDBEAT_HOME",
    )
    home: Path = Field(default_factory=default_home, description="data of the embedded servers")
    bind: str = Field(
        "127.0.0.1", description="address of the HTTP service, Flower and the metrics exporter"
    )
    flower_port: Port = Field(5555, description="port of Flower; 0 takes a free one")
    metrics_port: Port = Field(9808, description="port of the exporter; 0 takes a free one")
    metrics_budgets: int = Field(
        500, ge=0, le=100_000, description="most budgets with metrics of their own"
    )
    web_port: Port = Field(8000, description="port of the HTTP service; 0 takes a free one")
    web_processes: int = Field(1, ge=1, le=64, description="processes of the HTTP service")
    web_threads: int = Field(
        4, ge=1, le=64, description="requests that one of them books at the same time"
    )
    web_in_flight: int = Field(
        32, ge=1, le=4096, description="requests that one of them has in hand; more get 503"
    )
    web_body_mib: int = Field(16, ge=1, le=256, description="most MiB of a body as it is sent")
    web_unpacked_mib: int = Field(64, ge=1, le=1024, description="most MiB of a body unpacked")
    web_events: int = Field(10_000, ge=1, le=100_000, description="most events of one request")
    web_streams: int = Field(
        1000, ge=0, le=100_000, description="listeners of /events that one of them has; 0 is none"
    )
    web_streams_per_token: int = Field(
        100, ge=1, le=100_000, description="most of them with the same token"
    )
    feed_hours: float = Field(
        24.0, ge=0.1, le=720, description="hours after which a listener cannot resume any more"
    )
    web_rate: int = Field(
        1200, ge=0, description="requests per minute and token, events and guard aside; 0: any"
    )
    web_ingest_rate: int = Field(
        0, ge=0, description="requests with events per minute and token; 0: any number"
    )
    web_guard_rate: int = Field(
        0, ge=0, description="requests to the guard per minute and token; 0: any number"
    )
    concurrency: int = Field(2, ge=1, le=256, description="processes of the worker")
    tick_seconds: float = Field(5.0, ge=0.1, le=3600, description="time between two ticks")
    check_seconds: float = Field(
        5.0, ge=0.1, le=3600, description="time between two looks at budgets by beat"
    )
    guard_redis_url: str | None = Field(
        None, description="Redis that guards of calls ask; by default the one for messages"
    )
    guard_seconds: float | None = Field(
        None,
        ge=0.1,
        le=3600,
        description="time between two reconciliations of guards; by default that of two ticks",
    )
    audit_seconds: float = Field(900.0, ge=1, description="time between two audits by beat")
    batch_rows: int = Field(
        2_000_000, ge=1, description="most ledger rows that one rollup transaction counts"
    )
    litellm_database_url: str | None = Field(
        None,
        validation_alias="LITELLM_DATABASE_URL",
        description="LiteLLM's own Postgres, which is read; without it none is",
    )
    litellm_seconds: float = Field(
        60.0, ge=1, le=3600, description="time between two looks into LiteLLM's database by beat"
    )
    litellm_overlap_hours: float = Field(
        48.0, ge=0, le=2160, description="how late rows may come there, or be rewritten"
    )
    litellm_daily: Literal["auto", "off"] = Field(
        "auto", description="auto: its daily tables are read where its spend logs are off"
    )
    delivery_days: int = Field(
        30, ge=1, le=3650, description="days that delivered messages and their log are kept"
    )
    delivery_threads: int = Field(
        16, ge=1, le=256, description="messages that are sent at the same time"
    )
    secret_key: SecretStr | None = Field(
        None,
        description="keys that encrypt stored secrets, separated by commas; the first encrypts",
    )
    secret_key_file: Path | None = Field(
        None, description="file with such keys instead; by default secret.key in SPENDBEAT_HOME"
    )
    webhook_allowed: str = Field(
        "", description="networks and hosts inside that messages may go to, separated by commas"
    )
    mail_from: str = Field("spendbeat@localhost", description="mailbox that mail is from")
    smtp_url: str | None = Field(
        None, repr=False, description="mail server, as smtp://user:password@host:587"
    )
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")

    @field_validator("database_url")
    @classmethod
    def _postgres(cls, value: str | None) -> str | None:
        if not value:
            return None
        # Read here and not by SQLAlchemy, which beat and Flower do without: it is 17 MB of each.
        scheme, mark, rest = value.partition("://")
        if not mark:
            raise ValueError("is not a URL such as postgresql://user@host/name")
        if scheme.partition("+")[0] not in {"postgresql", "postgres"}:
            raise ValueError(f"must start with postgresql://, not {scheme}://")
        # As SQLAlchemy tells the login from the host.
        login = re.match(r"[^:/]*(?::[^@]*)?@", rest)
        host = re.split(r"[/?]", rest[login.end() if login else 0 :], maxsplit=1)[0]
        port = host.rpartition("]")[2].partition(":")[2]
        # What it takes for the host may be a part of the password, and would be shown with it.
        if "@" in host or (port and not port.isdecimal()):
            raise ValueError("has a port that is not a number; in a password, @ is %40")
        # One driver everywhere, whatever SQLAlchemy's default for this spelling is.
        return f"postgresql+psycopg2://{rest}"

    @field_validator("litellm_database_url")
    @classmethod
    def _litellm(cls, value: str | None) -> str | None:
        if not value:
            return None
        # As it is: what Prisma adds to it is for the sync to read.
        if not value.startswith(("postgresql://", "postgres://", "postgresql+psycopg2://")):
            raise ValueError("must start with postgresql://")
        return value

    @field_validator("redis_url", "guard_redis_url")
    @classmethod
    def _redis(cls, value: str | None) -> str | None:
        if not value:
            return None
        if not value.startswith(("redis://", "rediss://", "redis+socket://")):
            raise ValueError("must start with redis://, rediss:// or redis+socket://")
        return value

    @field_validator("secret_key", "secret_key_file", mode="before")
    @classmethod
    def _unset(cls, value: str | None) -> str | None:
        return value or None

    @field_validator("secret_key")
    @classmethod
    def _keys(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            from spend import secrets  # noqa: PLC0415 - slow to import

            try:
                secrets.parse(value.get_secret_value(), "it")
            except secrets.SecretKeyError as error:
                raise ValueError(str(error)) from None
        return value

    @field_validator("webhook_allowed")
    @classmethod
    def _networks(cls, value: str) -> str:
        from spend.delivery import destination  # noqa: PLC0415 - only where it is set

        try:
            destination.networks(value)
        except destination.AddressError as error:
            raise ValueError(str(error)) from None
        return value

    @field_validator("smtp_url")
    @classmethod
    def _smtp(cls, value: str | None, info: ValidationInfo) -> str | None:
        if not value:
            return None
        from spend.delivery import destination, email  # noqa: PLC0415 - only where it is set

        try:
            email.server(value, info.data.get("mail_from", ""))
        except destination.AddressError as error:
            raise ValueError(str(error)) from None
        return value

    @field_validator("home", "secret_key_file")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value and value.expanduser().absolute()

    @field_validator("log_level")
    @classmethod
    def _level(cls, value: str) -> str:
        if value.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            raise ValueError("must be DEBUG, INFO, WARNING or ERROR")
        return value.upper()

    @property
    def embedded_postgres(self) -> bool:
        return self.database_url is None

    @property
    def embedded_redis(self) -> bool:
        return self.redis_url is None

    @property
    def sqlalchemy_url(self) -> str:
        """Where the ledger is, in SQLAlchemy's spelling."""
        return self.database_url or paths.postgres_url(self.home)

    @property
    def broker_url(self) -> str:
        """Where Celery's messages go, in kombu's spelling."""
        return self.redis_url or paths.redis_url(self.home)

    @property
    def guard_url(self) -> str:
        """Where guards look, in kombu's spelling."""
        return self.guard_redis_url or self.broker_url


def load() -> Settings:
    """Read the environment; every mistake in it is in one SettingsError."""
    try:
        return Settings()  # type: ignore[call-arg]  # fields come from the environment
    except ValidationError as error:
        lines = [f"  {_variable(e['loc'])}: {_reason(e)}" for e in error.errors()]
        raise SettingsError("These settings cannot be used:\n" + "\n".join(lines)) from None


def _variable(location: tuple[int | str, ...]) -> str:
    name = str(location[0])
    return name if name.isupper() else f"SPENDBEAT_{name.upper()}"


def _reason(error: object) -> str:
    # The offending value is left out on purpose: a URL holds a password.
    message = str(error["msg"])  # type: ignore[index]
    return message.removeprefix("Value error, ")


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process."""
    return load()
