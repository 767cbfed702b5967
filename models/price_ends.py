from datetime import datetime

from sqlalchemy import ForeignKey, Identity, Integer, Text, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class PriceEnd(Base):
    """What was learned later about the end of a price; the newest row of a price holds."""

    __tablename__ = "price_ends"

    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    price_id: Mapped[int] = mapped_column(ForeignKey("price_overrides.id"), nullable=False)
    ends_at: Mapped[datetime | None] = mapped_column(
        TIMESTAMP(timezone=True),
        comment="the price ends then, NULL for never; of several rows of a price the newest"
        " holds, and an end before its beginning withdraws it",
    )
    known_at: Mapped[datetime] = mapped_column(
        TIMESTAMP(timezone=True), server_default=text("now()"), nullable=False
    )
    note: Mapped[str] = mapped_column(Text, server_default=text("''"), nullable=False)
