from datetime import date

from sqlalchemy import Date, Integer, Text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base
from models.measures import MeasureColumns


class DailyCostSummary(MeasureColumns, Base):
    """Spend per day of the reporting zone (see `reporting_zone`)."""

    __tablename__ = "daily_cost_summaries"
    __table_args__ = ({"postgresql_with": {"fillfactor": "70"}},)

    day: Mapped[date] = mapped_column(Date, primary_key=True)
    provider: Mapped[str] = mapped_column(Text, primary_key=True)
    model: Mapped[str] = mapped_column(Text, primary_key=True)
    attribution_id: Mapped[int] = mapped_column(Integer, primary_key=True)
