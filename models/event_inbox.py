from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, Text, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class InboxEvent(Base):
    """An event that a gateway put straight into Postgres, until a worker has booked it.

    A sender may do no more than add to this table; what cannot be booked stays, with the reason.
    """

    __tablename__ = "event_inbox"
    __table_args__ = (
        CheckConstraint("route IN ('gateway', 'litellm')", name="route"),
        Index("ix_event_inbox_id", "id", postgresql_where=text("error IS NULL")),
        Index("ix_event_inbox_rejected", "id", postgresql_where=text("error IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    arrived_at: Mapped[datetime] = mapped_column(
        TIMESTAMP(timezone=True), server_default=text("clock_timestamp()"), nullable=False
    )
    route: Mapped[str] = mapped_column(
        Text,
        nullable=False,
        comment="how to read body: gateway (own events) or litellm (its logging payload)",
    )
    body: Mapped[str] = mapped_column(
        Text, nullable=False, comment="one event as JSON, as it was sent"
    )
    error: Mapped[str | None] = mapped_column(
        Text, comment="why it could not be booked; NULL is waiting"
    )
