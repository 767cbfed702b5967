from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Integer, Uuid, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class SettlementTry(Base):
    """A bucket whose unpriced requests were looked at, so that nobody looks again in vain."""

    __tablename__ = "settlement_tries"

    bucket: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), primary_key=True)
    series_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    requests: Mapped[int] = mapped_column(
        BigInteger,
        nullable=False,
        comment="of the bucket when its unpriced requests were looked at",
    )
    unpriced: Mapped[int] = mapped_column(
        BigInteger,
        nullable=False,
        comment="of the bucket then; what no price can settle stays in it",
    )
    prices: Mapped[UUID] = mapped_column(
        Uuid, nullable=False, comment="digest of the prices that were known of its model then"
    )
    tried_at: Mapped[datetime] = mapped_column(
        TIMESTAMP(timezone=True), server_default=text("clock_timestamp()"), nullable=False
    )
