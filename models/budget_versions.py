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
        CheckConstraint("enforce IN ('alert', 'block', 'throttle')", name="enforce"),
        CheckConstraint("unreachable IN ('open', 'closed')", name="unreachable"),
        CheckConstraint("unpriced IN ('allow', 'ceiling', 'block')", name="unpriced"),
        CheckConstraint("throttle_per_minute >= 0 AND allowance > 0 AND ceiling > 0", name="guard"),
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
    enforce: Mapped[str] = mapped_column(
        Text,
        server_default=text("'alert'"),
        nullable=False,
        comment="what guards do about calls: nothing, refuse them, or slow them down",
    )
    throttle_per_minute: Mapped[int | None] = mapped_column(
        Integer, comment="requests that may pass above the soft limit"
    )
    unreachable: Mapped[str] = mapped_column(
        Text,
        server_default=text("'open'"),
        nullable=False,
        comment="whether calls pass while a guard cannot ask",
    )
    allowance: Mapped[Decimal | None] = mapped_column(
        MONEY, comment="US dollars that each process may let through then; NULL is 1 % of the limit"
    )
    unpriced: Mapped[str] = mapped_column(
        Text,
        server_default=text("'allow'"),
        nullable=False,
        comment="what becomes of calls to a model without a known price",
    )
    ceiling: Mapped[Decimal | None] = mapped_column(
        MONEY, comment="the price assumed for them, US dollars per million tokens"
    )
