from datetime import datetime
from decimal import Decimal

from sqlalchemy import CheckConstraint, Identity, Integer, Numeric, Text, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base

PER_MILLION = Numeric(20, 12)


class PriceOverride(Base):
    """A price of one's own: dollars per million tokens, valid from one time to another.

    A token class without a rate of its own is priced as the class that contains it.
    """

    __tablename__ = "price_overrides"
    __table_args__ = (
        CheckConstraint("valid_to IS NULL OR valid_to > valid_from", name="period"),
        CheckConstraint("provider <> '' AND model <> ''", name="named"),
    )

    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    provider: Mapped[str] = mapped_column(Text, nullable=False)
    model: Mapped[str] = mapped_column(Text, nullable=False)
    valid_from: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), nullable=False)
    valid_to: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    known_at: Mapped[datetime] = mapped_column(
        TIMESTAMP(timezone=True), server_default=text("now()"), nullable=False
    )
    input_per_million: Mapped[Decimal] = mapped_column(PER_MILLION, nullable=False)
    output_per_million: Mapped[Decimal] = mapped_column(PER_MILLION, nullable=False)
    cache_read_per_million: Mapped[Decimal | None] = mapped_column(PER_MILLION)
    cache_write_per_million: Mapped[Decimal | None] = mapped_column(PER_MILLION)
    cache_write_1h_per_million: Mapped[Decimal | None] = mapped_column(PER_MILLION)
    note: Mapped[str] = mapped_column(Text, server_default=text("''"), nullable=False)
