from sqlalchemy import BigInteger, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class ShardNews(Base):
    """What a tick brought to a shard: written with the tick, dropped when all have passed it."""

    __tablename__ = "shard_news"
    __table_args__ = (Index(None, "provider", "tick_id"),)

    tick_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("ticks.id", ondelete="CASCADE"), primary_key=True
    )
    provider: Mapped[str] = mapped_column(Text, primary_key=True)
    rows: Mapped[int] = mapped_column(BigInteger, nullable=False)
    first_id: Mapped[int] = mapped_column(BigInteger, nullable=False)
    last_id: Mapped[int] = mapped_column(BigInteger, nullable=False)
