from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Numeric, Text, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class Cursor(Base):
    """How far a shard's rollups are: everything visible in tick_id is in them, once.

    While a batch too large for one transaction is being counted, `cut_tick_id` is the tick it
    leads to and `cut_id` the ledger id up to which its rows are counted.
    """

    __tablename__ = "cursors"
    __table_args__ = (CheckConstraint("(cut_tick_id IS NULL) = (cut_id IS NULL)", name="cut"),)

    provider: Mapped[str] = mapped_column(Text, primary_key=True)
    tick_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("ticks.id"), nullable=False)
    cut_tick_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("ticks.id"))
    cut_id: Mapped[int | None] = mapped_column(BigInteger)
    moved_at: Mapped[datetime] = mapped_column(
        TIMESTAMP(timezone=True), server_default=text("clock_timestamp()"), nullable=False
    )
    rows_total: Mapped[int] = mapped_column(BigInteger, server_default=text("0"), nullable=False)
    batches_total: Mapped[int] = mapped_column(BigInteger, server_default=text("0"), nullable=False)
    seconds_total: Mapped[Decimal] = mapped_column(
        Numeric, server_default=text("0"), nullable=False, comment="database time of all batches"
    )
