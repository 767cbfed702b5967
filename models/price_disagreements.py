from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import BigInteger, Date, Identity, Index, Text, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base
from models.measures import MONEY


class PriceDisagreement(Base):
    """Requests of which another cost is known than the booked one, added up by batch, then day."""

    __tablename__ = "price_disagreements"
    __table_args__ = (Index("ix_price_disagreements_found_at", "found_at"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    day: Mapped[date] = mapped_column(Date, nullable=False, comment="of started_at, UTC")
    provider: Mapped[str] = mapped_column(Text, nullable=False)
    model: Mapped[str] = mapped_column(Text, nullable=False)
    booked_source: Mapped[str] = mapped_column(
        Text, nullable=False, comment="where the booked cost is from, as in price_versions"
    )
    other_source: Mapped[str] = mapped_column(
        Text,
        nullable=False,
        comment="whose cost differs: computed (our prices), gateway or provider",
    )
    requests: Mapped[int] = mapped_column(BigInteger, nullable=False)
    booked_usd: Mapped[Decimal] = mapped_column(MONEY, nullable=False)
    other_usd: Mapped[Decimal] = mapped_column(MONEY, nullable=False)
    difference_usd: Mapped[Decimal] = mapped_column(
        MONEY, nullable=False, comment="sum of the differences without their sign"
    )
    example_row_id: Mapped[int] = mapped_column(
        BigInteger, nullable=False, comment="cost_logs.id of one of the requests"
    )
    found_at: Mapped[datetime] = mapped_column(
        TIMESTAMP(timezone=True),
        server_default=text("clock_timestamp()"),
        nullable=False,
        comment="when the newest of them was booked",
    )
