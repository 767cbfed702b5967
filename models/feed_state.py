from sqlalchemy import BigInteger, Boolean, CheckConstraint, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class FeedState(Base):
    """How far the feed is numbered; whoever gives positions locks this one row."""

    __tablename__ = "feed_state"
    __table_args__ = (CheckConstraint("only_row", name="only_row"),)

    only_row: Mapped[bool] = mapped_column(Boolean, primary_key=True, server_default=text("true"))
    epoch: Mapped[str] = mapped_column(
        Text, nullable=False, comment="positions of another epoch mean nothing here"
    )
    origin: Mapped[str] = mapped_column(
        Text,
        nullable=False,
        comment="cluster, timeline, database and table that the epoch was begun in",
    )
    newest: Mapped[int] = mapped_column(
        BigInteger, server_default=text("0"), nullable=False, comment="the highest position given"
    )
