from datetime import datetime

from sqlalchemy import CheckConstraint, Identity, Index, Integer, Text, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base

BUDGET_STATES = ("active", "paused", "removed")


class Budget(Base):
    """A limit for what a standing query spends in a period; what it says is its last version."""

    __tablename__ = "budgets"
    __table_args__ = (
        CheckConstraint("state IN ('active', 'paused', 'removed')", name="state"),
        CheckConstraint("name <> ''", name="named"),
        Index(
            "uq_budgets_name_kept",
            "name",
            unique=True,
            postgresql_where=text("state <> 'removed'"),
        ),
        Index("ix_budgets_query_id", "query_id", postgresql_where=text("state <> 'removed'")),
    )

    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(Text, nullable=False)
    state: Mapped[str] = mapped_column(Text, server_default=text("'active'"), nullable=False)
    version: Mapped[int] = mapped_column(
        Integer, server_default=text("1"), nullable=False, comment="the newest of budget_versions"
    )
    query_id: Mapped[int] = mapped_column(
        Integer, nullable=False, comment="what rollups match; of the newest version"
    )
    arming: Mapped[int] = mapped_column(
        Integer,
        server_default=text("1"),
        nullable=False,
        comment="the version since which its crossings count; an edit of what is spent in which"
        " period, or of limits, begins anew",
    )
    armed_at: Mapped[datetime] = mapped_column(
        TIMESTAMP(timezone=True),
        server_default=text("now()"),
        nullable=False,
        comment="when that was; periods that were over by then tell nothing",
    )
    created_at: Mapped[datetime] = mapped_column(
        TIMESTAMP(timezone=True), server_default=text("now()"), nullable=False
    )
    created_by: Mapped[str] = mapped_column(Text, server_default=text("''"), nullable=False)
