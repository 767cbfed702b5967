from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Identity, Index, Integer, Text, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base

CHANNEL_KINDS = ("webhook", "slack", "email")


class Channel(Base):
    """Where messages go. Removed, never deleted, so that deliveries still say where they went."""

    __tablename__ = "channels"
    __table_args__ = (
        CheckConstraint("name <> ''", name="named"),
        CheckConstraint("kind IN ('webhook', 'slack', 'email')", name="kind"),
        CheckConstraint("state IN ('active', 'disabled', 'removed')", name="state"),
        Index(
            "uq_channels_live_name",
            "name",
            unique=True,
            postgresql_where=text("state <> 'removed'"),
        ),
    )

    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(
        Text, nullable=False, comment="for people; only one channel that is not removed has it"
    )
    kind: Mapped[str] = mapped_column(Text, nullable=False, comment="webhook, slack or email")
    address: Mapped[str] = mapped_column(
        Text,
        nullable=False,
        comment="as it may be shown: mail addresses, or a URL without what in it is a secret",
    )
    sealed_url: Mapped[str | None] = mapped_column(
        Text, comment="the whole URL, encrypted; NULL for email and when removed"
    )
    secrets: Mapped[list[dict[str, Any]]] = mapped_column(
        JSONB,
        server_default=text("'[]'"),
        nullable=False,
        comment="signing secrets, newest first, each with sealed, the ciphertext, and until,"
        " its end or null",
    )
    state: Mapped[str] = mapped_column(
        Text,
        server_default=text("'active'"),
        nullable=False,
        comment="active, disabled (nothing is sent), removed (for good)",
    )
    state_at: Mapped[datetime] = mapped_column(
        TIMESTAMP(timezone=True),
        server_default=text("now()"),
        nullable=False,
        comment="since when it is so",
    )
    state_reason: Mapped[str] = mapped_column(
        Text,
        server_default=text("''"),
        nullable=False,
        comment="why it was disabled; empty when active",
    )
    failing_since: Mapped[datetime | None] = mapped_column(
        TIMESTAMP(timezone=True),
        comment="the first failure after the last success; NULL is well",
    )
    created_at: Mapped[datetime] = mapped_column(
        TIMESTAMP(timezone=True), server_default=text("now()"), nullable=False
    )
