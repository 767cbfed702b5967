from datetime import date, datetime

from sqlalchemy import BigInteger, Date, Identity, Integer, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class BudgetNews(Base):
    """What a batch of a shard moved: written with it, taken away by the check of that shard."""

    __tablename__ = "budget_news"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    provider: Mapped[str] = mapped_column(
        Text, nullable=False, index=True, comment="the shard whose batch it was"
    )
    at: Mapped[datetime] = mapped_column(
        TIMESTAMP(timezone=True), server_default=text("now()"), nullable=False
    )
    budget_ids: Mapped[list[int]] = mapped_column(
        ARRAY(Integer), nullable=False, comment="budgets that moved"
    )
    period_starts: Mapped[list[date]] = mapped_column(
        ARRAY(Date), nullable=False, comment="for each of them the period that moved"
    )
