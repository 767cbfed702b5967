from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base

MESSAGE_STATES = ("waiting", "delivered", "dead")
_MOMENT = TIMESTAMP(timezone=True)


class OutboxMessage(Base):
    """A message to a channel, put in the transaction of what it tells about."""

    __tablename__ = "outbox"
    __table_args__ = (
        CheckConstraint("state IN ('waiting', 'delivered', 'dead')", name="state"),
        CheckConstraint("(state = 'waiting') = (ended_at IS NULL)", name="ended"),
        UniqueConstraint("lane", "position"),
        Index("ix_outbox_line", "lane", "position", postgresql_where=text("state = 'waiting'")),
        Index("ix_outbox_due", "channel_id", "next_at", postgresql_where=text("state = 'waiting'")),
        Index("ix_outbox_dead", "channel_id", postgresql_where=text("state = 'dead'")),
        Index("ix_outbox_ended_at", "ended_at"),
    )

    id: Mapped[str] = mapped_column(
        Text, primary_key=True, comment="the webhook-id, the same on each attempt"
    )
    lane: Mapped[str] = mapped_column(
        Text, ForeignKey("outbox_lanes.lane"), nullable=False, comment="what is kept in order"
    )
    position: Mapped[int] = mapped_column(BigInteger, nullable=False, comment="in its lane, from 1")
    channel_id: Mapped[int] = mapped_column(Integer, ForeignKey("channels.id"), nullable=False)
    type: Mapped[str] = mapped_column(
        Text, nullable=False, comment="what it tells, such as budget.crossed"
    )
    at: Mapped[datetime] = mapped_column(
        _MOMENT, nullable=False, comment="when what it tells happened"
    )
    body: Mapped[dict[str, Any]] = mapped_column(JSONB, nullable=False)
    created_at: Mapped[datetime] = mapped_column(
        _MOMENT, server_default=text("now()"), nullable=False
    )
    state: Mapped[str] = mapped_column(
        Text,
        server_default=text("'waiting'"),
        nullable=False,
        comment="waiting, delivered (after a 2xx) or dead (given up)",
    )
    reason: Mapped[str | None] = mapped_column(
        Text, comment="of the newest attempt, or disabled; NULL before the first"
    )
    attempts: Mapped[int] = mapped_column(
        Integer,
        server_default=text("0"),
        nullable=False,
        comment="that ended, since it was put or replayed",
    )
    next_at: Mapped[datetime | None] = mapped_column(
        _MOMENT, comment="when the next attempt is due; NULL unless it is the first of its lane"
    )
    rung_at: Mapped[datetime | None] = mapped_column(
        _MOMENT, comment="when a worker was last told of it since its newest attempt"
    )
    ended_at: Mapped[datetime | None] = mapped_column(
        _MOMENT, comment="when it was delivered or given up"
    )
