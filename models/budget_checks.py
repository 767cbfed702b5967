from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import Date, Integer
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base
from models.measures import MONEY


class BudgetCheck(Base):
    """How far a verdict on a budget's period holds.

    While the version is the same, reached <= spend < next_line and due_at is to come, looking at
    the budget again would change nothing. A period without a row is not watched.
    """

    __tablename__ = "budget_checks"
    # As in spend_buckets: no indexed column ever changes.
    __table_args__ = ({"postgresql_with": {"fillfactor": "70"}},)

    budget_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    period_start: Mapped[date] = mapped_column(Date, primary_key=True)
    version: Mapped[int] = mapped_column(
        Integer, nullable=False, comment="of the budget, as it was judged"
    )
    reached: Mapped[Decimal | None] = mapped_column(
        MONEY, comment="the highest line of actual spend that was reached; below it, judge again"
    )
    next_line: Mapped[Decimal | None] = mapped_column(
        MONEY, comment="the lowest that was not, in dollars; from it on, judge again"
    )
    forecast_at: Mapped[datetime | None] = mapped_column(
        TIMESTAMP(timezone=True),
        comment="when the forecast was last made; NULL where no threshold is of it",
    )
    due_at: Mapped[datetime | None] = mapped_column(
        TIMESTAMP(timezone=True), comment="when time alone may change the verdict; NULL is never"
    )
