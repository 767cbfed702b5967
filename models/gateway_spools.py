from datetime import datetime

from sqlalchemy import BigInteger, Text, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class GatewaySpool(Base):
    """What a gateway last said about the spool that it sends from."""

    __tablename__ = "gateway_spools"

    name: Mapped[str] = mapped_column(
        Text, primary_key=True, comment="what the gateway calls itself"
    )
    waiting: Mapped[int] = mapped_column(
        BigInteger, nullable=False, comment="events in the spool that are not sent yet"
    )
    dropped: Mapped[int] = mapped_column(
        BigInteger, nullable=False, comment="events lost because the spool was full, ever"
    )
    oldest_seconds: Mapped[int] = mapped_column(
        BigInteger, nullable=False, comment="age of the oldest waiting event when it said so"
    )
    seen_at: Mapped[datetime] = mapped_column(
        TIMESTAMP(timezone=True), server_default=text("clock_timestamp()"), nullable=False
    )
