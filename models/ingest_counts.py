from sqlalchemy import BigInteger, CheckConstraint, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class IngestCount(Base):
    """How much came in over HTTP, added up over all web processes; only ever grows."""

    __tablename__ = "ingest_counts"
    __table_args__ = (CheckConstraint("counted IN ('requests', 'events')", name="counted"),)

    counted: Mapped[str] = mapped_column(Text, primary_key=True, comment="requests or events")
    route: Mapped[str] = mapped_column(Text, primary_key=True)
    result: Mapped[str] = mapped_column(
        Text, primary_key=True, comment="what became of them; see spend/ingest_counts.py"
    )
    total: Mapped[int] = mapped_column(
        BigInteger, server_default=text("0"), nullable=False, comment="since the beginning"
    )
