from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Text,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class Delivery(Base):
    """The delivery log: one row per attempt that ended, kept for some days."""

    __tablename__ = "deliveries"
    __table_args__ = (
        CheckConstraint("result IN ('delivered', 'retry', 'gone')", name="result"),
        Index("ix_deliveries_message_id", "message_id"),
        Index("ix_deliveries_channel_id_at", "channel_id", "at"),
        Index("ix_deliveries_at", "at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    message_id: Mapped[str] = mapped_column(
        Text, ForeignKey("outbox.id", ondelete="CASCADE"), nullable=False
    )
    channel_id: Mapped[int] = mapped_column(Integer, nullable=False)
    attempt: Mapped[int] = mapped_column(
        Integer, nullable=False, comment="from 1; again from 1 after a replay"
    )
    at: Mapped[datetime] = mapped_column(
        TIMESTAMP(timezone=True), nullable=False, comment="when the attempt began"
    )
    result: Mapped[str] = mapped_column(Text, nullable=False, comment="delivered, retry or gone")
    reason: Mapped[str] = mapped_column(Text, nullable=False, comment="one of a closed set")
    status: Mapped[int | None] = mapped_column(
        Integer, comment="of HTTP or SMTP; NULL where no answer came"
    )
    seconds: Mapped[float] = mapped_column(Double, nullable=False)
    answer: Mapped[str] = mapped_column(Text, nullable=False, comment="its beginning")
