from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Date,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base
from models.measures import MONEY

ALERT_STATES = ("open", "acknowledged", "snoozed", "escalated", "resolved")
_MOMENT = TIMESTAMP(timezone=True)


class BudgetAlert(Base):
    """A crossing: a budget reached a threshold in a period, and what became of it."""

    __tablename__ = "budget_alerts"
    __table_args__ = (
        UniqueConstraint(
            "budget_id",
            "period_start",
            "basis",
            "threshold",
            "arming",
            name="uq_budget_alerts_crossing",
        ),
        CheckConstraint("basis IN ('actual', 'forecast')", name="basis"),
        CheckConstraint("severity IN ('info', 'warning', 'critical')", name="severity"),
        CheckConstraint(
            "state IN ('open', 'acknowledged', 'snoozed', 'escalated', 'resolved')", name="state"
        ),
        CheckConstraint("(state = 'resolved') = (resolution IS NOT NULL)", name="resolution"),
        CheckConstraint("state <> 'snoozed' OR due_at IS NOT NULL", name="snoozed"),
        Index("ix_budget_alerts_live", "budget_id", postgresql_where=text("state <> 'resolved'")),
        Index(
            "ix_budget_alerts_resolved_at",
            "state_at",
            postgresql_where=text("state = 'resolved'"),
        ),
        Index("ix_budget_alerts_due_at", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    budget_id: Mapped[int] = mapped_column(Integer, ForeignKey("budgets.id"), nullable=False)
    version: Mapped[int] = mapped_column(
        Integer, nullable=False, comment="of the budget when it was raised"
    )
    arming: Mapped[int] = mapped_column(
        Integer, nullable=False, comment="of the budget when it was raised"
    )
    period_start: Mapped[date] = mapped_column(
        Date, nullable=False, comment="first day, in the budget's zone"
    )
    basis: Mapped[str] = mapped_column(Text, nullable=False, comment="actual or forecast")
    threshold: Mapped[str] = mapped_column(
        Text,
        nullable=False,
        comment="as the budget says it: 80%, 500, or soft for the soft limit",
    )
    line: Mapped[Decimal] = mapped_column(
        MONEY, nullable=False, comment="US dollars that were reached"
    )
    severity: Mapped[str] = mapped_column(Text, nullable=False, comment="info, warning or critical")
    spend: Mapped[Decimal] = mapped_column(
        MONEY, nullable=False, comment="US dollars in the period when it was raised"
    )
    unpriced: Mapped[int] = mapped_column(
        BigInteger, nullable=False, comment="requests that are not in spend"
    )
    limit_dollars: Mapped[Decimal | None] = mapped_column(
        MONEY, comment="the limit in force when it was raised"
    )
    forecast: Mapped[dict[str, Any] | None] = mapped_column(
        JSONB, comment="expected, low and high, as texts; NULL unless the basis is forecast"
    )
    contributors: Mapped[dict[str, Any]] = mapped_column(
        JSONB,
        server_default=text("'{}'"),
        nullable=False,
        comment="the most of spend by project, agent and model, when it was raised",
    )
    together: Mapped[list[str]] = mapped_column(
        ARRAY(Text),
        nullable=False,
        comment="all thresholds that were crossed at once, this one too",
    )
    raised_at: Mapped[datetime] = mapped_column(
        _MOMENT, server_default=text("now()"), nullable=False
    )
    state: Mapped[str] = mapped_column(
        Text,
        server_default=text("'open'"),
        nullable=False,
        comment="open, acknowledged, snoozed, escalated or resolved",
    )
    state_at: Mapped[datetime] = mapped_column(
        _MOMENT, server_default=text("now()"), nullable=False
    )
    state_by: Mapped[str] = mapped_column(
        Text,
        server_default=text("''"),
        nullable=False,
        comment="who; empty is Spendbeat itself",
    )
    state_note: Mapped[str] = mapped_column(Text, server_default=text("''"), nullable=False)
    resolution: Mapped[str | None] = mapped_column(
        Text, comment="period_over, edited, removed, below (of the line again) or by_hand"
    )
    escalate_after: Mapped[int | None] = mapped_column(
        Integer, comment="minutes in which somebody is to acknowledge it"
    )
    escalate_to: Mapped[list[str]] = mapped_column(
        ARRAY(Text),
        server_default=text("'{}'"),
        nullable=False,
        comment="names of channels, beside those of the threshold",
    )
    due_at: Mapped[datetime | None] = mapped_column(
        _MOMENT, comment="when it escalates, or when its snooze ends"
    )
