from datetime import datetime

from sqlalchemy import CheckConstraint, Identity, Index, Integer, Text, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base

RATE_LIMIT_STATES = ("active", "paused", "removed")


class RateLimit(Base):
    """How many requests of a scope may pass in a minute; guards refuse those beyond."""

    __tablename__ = "rate_limits"
    __table_args__ = (
        CheckConstraint("name <> ''", name="named"),
        CheckConstraint("per_minute >= 0", name="per_minute"),
        CheckConstraint("state IN ('active', 'paused', 'removed')", name="state"),
        Index(
            "uq_rate_limits_name_kept",
            "name",
            unique=True,
            postgresql_where=text("state <> 'removed'"),
        ),
    )

    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(Text, nullable=False)
    scope: Mapped[dict[str, str]] = mapped_column(
        JSONB,
        nullable=False,
        comment="as of budgets: attribution fields, tag, provider, model; {} is everything",
    )
    per_minute: Mapped[int] = mapped_column(
        Integer, nullable=False, comment="requests that may pass in a minute"
    )
    state: Mapped[str] = mapped_column(Text, server_default=text("'active'"), nullable=False)
    created_at: Mapped[datetime] = mapped_column(
        TIMESTAMP(timezone=True), server_default=text("now()"), nullable=False
    )
    created_by: Mapped[str] = mapped_column(Text, server_default=text("''"), nullable=False)
    changed_at: Mapped[datetime] = mapped_column(
        TIMESTAMP(timezone=True), server_default=text("now()"), nullable=False
    )
    changed_by: Mapped[str] = mapped_column(Text, server_default=text("''"), nullable=False)
