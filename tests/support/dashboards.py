"""What a dashboard shows in tests: some days of spend, budgets and alerts."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.support import alerts, budgets, ledger
from worker.database import transaction

NASTY = "<script>alert(1)</script>"
QUOTED = "gpt\"4'o&<b>"
# project, agent, provider, model, dollars (None: unpriced), days ago
_SPENT: tuple[tuple[str | None, str | None, str, str, str | None, int], ...] = (
    ("shop", "planner", "anthropic", "claude-opus-4-1", "40.000000000007", 0),
    ("shop", "coder", "openai", "gpt-4o", "12.5", 1),
    ("shop", "coder", "openai", "gpt-4o", "7.5", 40),
    ("search", None, "openai", "gpt-4o-mini", "0.004", 2),
    (NASTY, "planner", "openai", QUOTED, "3.25", 3),
    (None, None, "openai", "gpt-4o", "5", 0),
    ("search", None, "own", "nobody-knows", None, 1),
)
TOTAL_30 = "$60.754000000007"


def fill(now: datetime | None = None, organization: str | None = "acme") -> None:
    """Requests of the last days, counted."""
    now = now or datetime.now(UTC)
    with transaction() as session:
        for project, agent, provider, model, cost, days in _SPENT:
            fields: dict[str, Any] = {"project": project, "agent": agent}
            if project is not None:
                fields["organization"] = organization
            add(
                session,
                fields,
                provider=provider,
                model=model,
                cost_usd=None if cost is None else Decimal(cost),
                started_at=now - timedelta(days=days, minutes=1),
                input_tokens=1000,
                output_tokens=200,
            )
    ledger.roll()


def fill_long(name: str) -> None:
    """Somebody whose every name is so long, and a refund that leaves a budget below zero."""
    with transaction() as session:
        for agent in (name, f"{name[:90]} {name[:90]}", "שלום עולם", "refunded"):
            who = {"organization": "long", "project": name, "agent": agent, "user_id": name}
            cost = Decimal(-900 if agent == "refunded" else 1234)
            add(session, who, model=name, cost_usd=cost)
    ledger.roll()
    scope = {"organization": "long", "agent": "refunded"}
    budgets.add("refunded", scope=scope, hard_limit=50)
    budgets.add(name[:100], scope={"agent": name}, hard_limit=5000)


def add(session: Any, who: Mapping[str, Any], **row: Any) -> None:
    """One ledger row of somebody, or of nobody."""
    said = {name: value for name, value in who.items() if value is not None}
    if said:
        row["attribution_id"] = budgets.attribution(**said)
    ledger.add(session, **row)


def spend_more(dollars: str, project: str = "shop") -> None:
    """One more request now, counted."""
    with transaction() as session:
        add(session, {"project": project, "organization": "acme"}, cost_usd=Decimal(dollars))
    ledger.roll()


def budgeted_again() -> None:
    """A check of what was spent since."""
    alerts.check(datetime.now(UTC))


def budgeted() -> None:
    """A budget that is over its limit, one that is not, and the alerts of the first."""
    lines = ["80%", "100%,critical", "150,critical"]
    shop = {"scope": {"project": "shop"}, "period": "total", "thresholds": lines}
    budgets.add("shop", **shop, soft_limit=50, hard_limit=55)
    budgets.add("all of it", hard_limit=100_000)
    alerts.check(datetime.now(UTC))
