from sqlalchemy import BigInteger, Double, Integer, Text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class DeliveryCount(Base):
    """Attempts of all time by how they ended: what the log no longer holds is still counted."""

    __tablename__ = "delivery_counts"

    channel_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    result: Mapped[str] = mapped_column(Text, primary_key=True)
    reason: Mapped[str] = mapped_column(Text, primary_key=True)
    attempts: Mapped[int] = mapped_column(BigInteger, nullable=False)
    seconds: Mapped[float] = mapped_column(Double, nullable=False)
