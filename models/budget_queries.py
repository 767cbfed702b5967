from datetime import date
from uuid import UUID

from sqlalchemy import CheckConstraint, Date, Identity, Index, Integer, SmallInteger, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class BudgetQuery(Base):
    """A scope and a calendar, once for all budgets that share them: what rollups match.

    A row matches where each key is among those of its series. Rollups find it by one of its keys,
    the anchor: the one that the fewest other queries have.
    """

    __tablename__ = "budget_queries"
    __table_args__ = (
        CheckConstraint(
            "period IN ('day', 'week', 'month', 'quarter', 'year', 'total', 'range')",
            name="period",
        ),
        CheckConstraint(
            "CASE period WHEN 'range' THEN ends_on > starts_on"
            " ELSE starts_on IS NULL AND ends_on IS NULL END",
            name="range",
        ),
        CheckConstraint("week_start BETWEEN 1 AND 7", name="week_start"),
        CheckConstraint(
            "CASE WHEN keys = '{}' THEN anchor = '' ELSE anchor = ANY (keys) END", name="anchor"
        ),
        Index("ix_budget_queries_anchor", "anchor"),
    )

    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    digest: Mapped[UUID] = mapped_column(
        PG_UUID, unique=True, nullable=False, comment="hash of all of it, so one row per query"
    )
    anchor: Mapped[str] = mapped_column(
        Text, nullable=False, comment="one of the keys; empty where there are none"
    )
    keys: Mapped[list[str]] = mapped_column(
        ARRAY(Text), nullable=False, comment="FIELD=VALUE, all of which a series must have"
    )
    period: Mapped[str] = mapped_column(Text, nullable=False)
    zone: Mapped[str] = mapped_column(Text, nullable=False, comment="an IANA name")
    week_start: Mapped[int] = mapped_column(
        SmallInteger, nullable=False, comment="1 is Monday, 7 is Sunday"
    )
    starts_on: Mapped[date | None] = mapped_column(Date)
    ends_on: Mapped[date | None] = mapped_column(Date, comment="the first day after it")
