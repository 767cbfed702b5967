from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import CheckConstraint, Date, ForeignKey, Integer, SmallInteger, Text, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base
from models.measures import MONEY

BUDGET_CHANGES = ("added", "edited", "paused", "resumed", "removed")


class BudgetVersion(Base):
    """What a budget said from one change to the next, whole; who changed it, and when."""

    __tablename__ = "budget_versions"
    __table_args__ = (
        CheckConstraint(
            "change IN ('added', 'edited', 'paused', 'resumed', 'removed')", name="change"
        ),
        CheckConstraint("soft_limit > 0 AND hard_limit > 0", name="limits"),
        CheckConstraint("(raise_by IS NULL) = (raise_until IS NULL)", name="raise"),
    )

    budget_id: Mapped[int] = mapped_column(Integer, ForeignKey("budgets.id"), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    changed_at: Mapped[datetime] = mapped_column(
        TIMESTAMP(timezone=True), server_default=text("now()"), nullable=False
    )
    changed_by: Mapped[str] = mapped_column(Text, server_default=text("''"), nullable=False)
    change: Mapped[str] = mapped_column(Text, nullable=False)
    name: Mapped[str] = mapped_column(Text, nullable=False)
    scope: Mapped[dict[str, str]] = mapped_column(
        JSONB, nullable=False, comment="attribution fields, tag, provider, model; {} is everything"
    )
    period: Mapped[str] = mapped_column(Text, nullable=False)
    zone: Mapped[str] = mapped_column(Text, nullable=False, comment="an IANA name")
    week_start: Mapped[int] = mapped_column(
        SmallInteger, nullable=False, comment="1 is Monday, 7 is Sunday"
    )
    starts_on: Mapped[date | None] = mapped_column(Date, comment="of a range: its first day")
    ends_on: Mapped[date | None] = mapped_column(Date, comment="of a range: the first day after it")
    soft_limit: Mapped[Decimal | None] = mapped_column(MONEY, comment="US dollars a period")
    hard_limit: Mapped[Decimal | None] = mapped_column(MONEY, comment="US dollars a period")
    thresholds: Mapped[list[dict[str, Any]]] = mapped_column(
        JSONB,
        nullable=False,
        comment="each with basis, percent or amount (decimal texts), severity, channels (names)",
    )
    raise_by: Mapped[Decimal | None] = mapped_column(
        MONEY, comment="US dollars on top of both limits until raise_until"
    )
    raise_until: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    note: Mapped[str] = mapped_column(Text, server_default=text("''"), nullable=False)
