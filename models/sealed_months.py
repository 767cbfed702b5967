from datetime import date, datetime

from sqlalchemy import Date, Identity, Integer, Text, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base
from models.measures import MeasureColumns


class SealedMonth(MeasureColumns, Base):
    """The sums of ledger rows that were dropped, per sealing, month and model."""

    __tablename__ = "sealed_months"

    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    month: Mapped[date] = mapped_column(Date, nullable=False, comment="first day, UTC")
    provider: Mapped[str] = mapped_column(Text, nullable=False)
    model: Mapped[str] = mapped_column(Text, nullable=False)
    sealed_at: Mapped[datetime] = mapped_column(
        TIMESTAMP(timezone=True), server_default=text("now()"), nullable=False
    )
