from datetime import date
from decimal import Decimal

from sqlalchemy import BigInteger, Date, Integer, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base
from models.measures import MONEY


class BudgetSpend(Base):
    """What a budget's scope spent in one of its periods, one row per provider.

    By provider, so that shards never wait for each other on a budget that spans several.
    """

    __tablename__ = "budget_spend"
    # As in spend_buckets: no indexed column ever changes.
    __table_args__ = ({"postgresql_with": {"fillfactor": "70"}},)

    budget_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    period_start: Mapped[date] = mapped_column(
        Date, primary_key=True, comment="first day, in the budget's zone; 1970-01-01 of a total"
    )
    provider: Mapped[str] = mapped_column(Text, primary_key=True)
    requests: Mapped[int] = mapped_column(BigInteger, server_default=text("0"), nullable=False)
    unpriced: Mapped[int] = mapped_column(
        BigInteger,
        server_default=text("0"),
        nullable=False,
        comment="requests whose price is not known yet; they are not in spend",
    )
    spend: Mapped[Decimal] = mapped_column(
        MONEY, server_default=text("0"), nullable=False, comment="US dollars"
    )
