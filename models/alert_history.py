from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Integer, Text, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class AlertHistory(Base):
    """What became of an alert, one row per change."""

    __tablename__ = "alert_history"
    __table_args__ = (
        CheckConstraint(
            "change IN ('raised', 'acknowledged', 'snoozed', 'snooze_ended', 'escalated',"
            " 'resolved', 'reopened', 'replayed')",
            name="change",
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    alert_id: Mapped[int] = mapped_column(
        Integer, ForeignKey("budget_alerts.id"), nullable=False, index=True
    )
    at: Mapped[datetime] = mapped_column(
        TIMESTAMP(timezone=True), server_default=text("clock_timestamp()"), nullable=False
    )
    change: Mapped[str] = mapped_column(Text, nullable=False)
    by: Mapped[str] = mapped_column(
        Text,
        server_default=text("''"),
        nullable=False,
        comment="who; empty is Spendbeat itself",
    )
    note: Mapped[str] = mapped_column(Text, server_default=text("''"), nullable=False)
    until: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True), comment="of a snooze")
