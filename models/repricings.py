from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, CheckConstraint, Identity, Integer, Text, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base
from models.measures import MONEY

_TIME = TIMESTAMP(timezone=True)


class Repricing(Base):
    """A correction of a model's requests to the prices known at a moment, and its undoing.

    Its adjustments have a price version with source 'reprice' and this id.
    """

    __tablename__ = "repricings"
    __table_args__ = (CheckConstraint("until > since", name="period"),)

    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(
        _TIME, server_default=text("clock_timestamp()"), nullable=False
    )
    by: Mapped[str] = mapped_column(Text, nullable=False, comment="who ran it")
    provider: Mapped[str | None] = mapped_column(Text, comment="NULL is every provider")
    model: Mapped[str] = mapped_column(Text, nullable=False)
    since: Mapped[datetime] = mapped_column(_TIME, nullable=False)
    until: Mapped[datetime] = mapped_column(
        _TIME, nullable=False, comment="up to this time of started_at, not including it"
    )
    known_at: Mapped[datetime] = mapped_column(
        _TIME, nullable=False, comment="prices as they were known then"
    )
    rows: Mapped[int] = mapped_column(
        BigInteger, server_default=text("0"), nullable=False, comment="adjustments written"
    )
    delta: Mapped[Decimal] = mapped_column(
        MONEY,
        server_default=text("0"),
        nullable=False,
        comment="what they add up to, US dollars",
    )
    unpriced: Mapped[int] = mapped_column(
        BigInteger,
        server_default=text("0"),
        nullable=False,
        comment="by how many it changed the number of unpriced requests",
    )
    first_id: Mapped[int | None] = mapped_column(
        BigInteger, comment="its adjustments have ledger ids from this one"
    )
    last_id: Mapped[int | None] = mapped_column(BigInteger, comment="to this one")
    finished_at: Mapped[datetime | None] = mapped_column(
        _TIME, comment="NULL: it was interrupted, and the same command goes on with it"
    )
    undone_at: Mapped[datetime | None] = mapped_column(_TIME)
    undone_by: Mapped[str | None] = mapped_column(Text)
    undone_rows: Mapped[int] = mapped_column(
        BigInteger, server_default=text("0"), nullable=False, comment="adjustments taken back"
    )
    kept_rows: Mapped[int] = mapped_column(
        BigInteger,
        server_default=text("0"),
        nullable=False,
        comment="adjustments left, since their requests were corrected again later",
    )
