from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Identity, Integer, Text, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base

_MOMENT = TIMESTAMP(timezone=True)


class LitellmSource(Base):
    """A database of LiteLLM's that is read, and how far; whoever reads a page locks its row."""

    __tablename__ = "litellm_sources"
    __table_args__ = (CheckConstraint("mode IN ('logs', 'daily')", name="mode"),)

    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(
        Text, unique=True, nullable=False, comment="host, port and database, without user"
    )
    mode: Mapped[str] = mapped_column(
        Text,
        server_default=text("'logs'"),
        nullable=False,
        comment="daily where spend logs are off and daily tables are read instead",
    )
    read_to: Mapped[datetime | None] = mapped_column(
        _MOMENT, comment="every row that began before this was read at least once"
    )
    read_to_id: Mapped[str] = mapped_column(
        Text, server_default=text("''"), nullable=False, comment="request_id of the last of them"
    )
    swept_to: Mapped[datetime | None] = mapped_column(
        _MOMENT, comment="where the sweep over rows read before stands; NULL is at its beginning"
    )
    swept_to_id: Mapped[str] = mapped_column(Text, server_default=text("''"), nullable=False)
    sweep_ended_at: Mapped[datetime | None] = mapped_column(
        _MOMENT, comment="when the last whole sweep ended"
    )
    daily_at: Mapped[datetime | None] = mapped_column(
        _MOMENT, comment="when the daily tables were last ahead of the logs, and so read"
    )
    daily_read_at: Mapped[datetime | None] = mapped_column(
        _MOMENT, comment="when the daily tables were last read"
    )
    caught_up_at: Mapped[datetime | None] = mapped_column(
        _MOMENT, comment="when the end of the table was last reached"
    )
    run_at: Mapped[datetime | None] = mapped_column(_MOMENT, comment="when the last run ended")
    rows_total: Mapped[int] = mapped_column(
        BigInteger, server_default=text("0"), nullable=False, comment="rows booked, of all time"
    )
    settled_total: Mapped[int] = mapped_column(
        BigInteger, server_default=text("0"), nullable=False, comment="rows brought up to a change"
    )
    rejected_total: Mapped[int] = mapped_column(
        BigInteger, server_default=text("0"), nullable=False, comment="rows that say too little"
    )
    error: Mapped[str | None] = mapped_column(
        Text, comment="why the last run ended early; NULL is well"
    )
