from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Identity, Text, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class RequestConflict(Base):
    """A request whose id was known for something else; the first to come stays booked."""

    __tablename__ = "request_conflicts"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(
        TIMESTAMP(timezone=True), server_default=text("clock_timestamp()"), nullable=False
    )
    route: Mapped[str] = mapped_column(
        Text, nullable=False, comment="the way that the second one came"
    )
    request_id: Mapped[str | None] = mapped_column(
        Text, index=True, comment="the sender's id of the request"
    )
    reason: Mapped[str] = mapped_column(Text, nullable=False)
    said: Mapped[dict[str, Any]] = mapped_column(
        JSONB,
        nullable=False,
        comment="the request as it was understood; what was booked before stays",
    )
