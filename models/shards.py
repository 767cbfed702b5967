from sqlalchemy import BigInteger, Text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class Shard(Base):
    """A provider that has been seen in the ledger, and the tick before it was first seen."""

    __tablename__ = "shards"

    provider: Mapped[str] = mapped_column(Text, primary_key=True)
    start_tick_id: Mapped[int] = mapped_column(
        BigInteger, nullable=False, comment="no row of this provider is visible in this tick"
    )
