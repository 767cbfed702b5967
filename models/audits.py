from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, Identity, Text, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base
from models.measures import MONEY


class Audit(Base):
    """The result of comparing the ledger with what was derived from it, or of a repair."""

    __tablename__ = "audits"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(
        TIMESTAMP(timezone=True), server_default=text("clock_timestamp()"), nullable=False
    )
    kind: Mapped[str] = mapped_column(Text, nullable=False, comment="verify or rebuild")
    rows: Mapped[int] = mapped_column(BigInteger, nullable=False, comment="ledger rows compared")
    difference: Mapped[Decimal] = mapped_column(
        MONEY, nullable=False, comment="largest absolute difference in dollars"
    )
    mismatches: Mapped[list[dict[str, str]]] = mapped_column(
        JSONB, nullable=False, comment="each figure that differed: where, expected, found"
    )
