"""What the environment says of the guard; a mistake there never stops the program we run in."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from urllib.parse import parse_qs, urlsplit

from spendbeat_gateway import faults
from spendbeat_gateway.settings import PREFIX

DEFAULT_ALLOWANCE = Decimal(1)


@dataclass(frozen=True)
class GuardSettings:
    """fail_open, allowance (dollars): while not even the rules are known."""

    redis_url: str | None = field(default=None, repr=False)
    fail_open: bool = True
    allowance: Decimal = DEFAULT_ALLOWANCE


def from_environment(environment: Mapping[str, str] | None = None) -> GuardSettings:
    env = os.environ if environment is None else environment

    def value(name: str) -> str:
        return env.get(PREFIX + name, "").strip()

    fail = value("GUARD_FAIL").lower() or "open"
    if fail not in ("open", "closed"):
        faults.say_once(f"{PREFIX}GUARD_FAIL must be open or closed; open is used")
    return GuardSettings(
        redis_url=value("REDIS_URL") or None,
        fail_open=fail != "closed",
        allowance=_dollars(value("GUARD_ALLOWANCE")),
    )


def _dollars(text: str) -> Decimal:
    try:
        dollars = Decimal(text) if text else DEFAULT_ALLOWANCE
    except InvalidOperation:
        dollars = Decimal(-1)
    if dollars.is_finite() and 0 <= dollars <= 1_000_000_000:  # noqa: PLR2004 - fits into 64 bits
        return dollars
    faults.say_once(f"{PREFIX}GUARD_ALLOWANCE must be dollars from 0; {DEFAULT_ALLOWANCE} is used")
    return DEFAULT_ALLOWANCE


def plain_url(url: str) -> str:
    """In redis-py's spelling: kombu's redis+socket://PATH?virtual_host=N is a unix:// there."""
    parts = urlsplit(url)
    if parts.scheme != "redis+socket":
        return url
    database = parse_qs(parts.query).get("virtual_host", ["0"])[0]
    return f"unix://{parts.path}?db={database}"
