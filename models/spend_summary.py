from datetime import datetime

from sqlalchemy import Text, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base
from models.measures import MeasureColumns


class SpendSummary(MeasureColumns, Base):
    """Spend of all time per provider and model."""

    __tablename__ = "spend_summary"
    __table_args__ = ({"postgresql_with": {"fillfactor": "70"}},)

    provider: Mapped[str] = mapped_column(Text, primary_key=True)
    model: Mapped[str] = mapped_column(Text, primary_key=True)
    updated_at: Mapped[datetime] = mapped_column(
        TIMESTAMP(timezone=True), server_default=text("now()"), nullable=False
    )
