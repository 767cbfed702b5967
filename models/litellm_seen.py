from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Integer
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class LitellmSeen(Base):
    """What a row of LiteLLM's said when it was read, while it may still change."""

    __tablename__ = "litellm_seen"
    __table_args__ = (
        # Rows come in the order of their times, so this costs nothing and finds the oldest.
        Index(
            "ix_litellm_seen_started_at",
            "started_at",
            postgresql_using="brin",
            postgresql_with={"pages_per_range": "32", "autosummarize": "on"},
        ),
    )

    source_id: Mapped[int] = mapped_column(
        Integer, ForeignKey("litellm_sources.id"), primary_key=True
    )
    key: Mapped[UUID] = mapped_column(
        PG_UUID, primary_key=True, comment="hash of the row's request_id, or of a daily group"
    )
    hash: Mapped[UUID] = mapped_column(
        PG_UUID, nullable=False, comment="of all that decides about cost and tokens"
    )
    started_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), nullable=False)
