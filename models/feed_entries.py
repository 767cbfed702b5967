from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, Text, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base

FEED_KINDS = ("spend", "alert", "reset")


class FeedEntry(Base):
    """Something that happened, put in the transaction in which it did."""

    __tablename__ = "feed_entries"
    __table_args__ = (
        CheckConstraint("kind IN ('spend', 'alert', 'reset')", name="kind"),
        CheckConstraint("(position IS NULL) = (numbered_at IS NULL)", name="numbered"),
        Index("ix_feed_entries_waiting", "id", postgresql_where=text("position IS NULL")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    kind: Mapped[str] = mapped_column(
        Text,
        nullable=False,
        comment="spend (of a batch of rollups), alert (a change of one), or reset: load anew",
    )
    at: Mapped[datetime] = mapped_column(
        TIMESTAMP(timezone=True),
        server_default=text("now()"),
        nullable=False,
        comment="when its transaction began",
    )
    body: Mapped[dict[str, Any]] = mapped_column(JSONB, nullable=False)
    position: Mapped[int | None] = mapped_column(
        BigInteger, unique=True, comment="given after the commit, without holes; NULL until then"
    )
    numbered_at: Mapped[datetime | None] = mapped_column(
        TIMESTAMP(timezone=True), comment="when the position was given"
    )
