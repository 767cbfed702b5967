from sqlalchemy import BigInteger, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class OutboxLane(Base):
    """A queue of messages that leave one at a time, in order; whoever adds one locks its row."""

    __tablename__ = "outbox_lanes"

    lane: Mapped[str] = mapped_column(Text, primary_key=True)
    messages: Mapped[int] = mapped_column(
        BigInteger,
        server_default=text("1"),
        nullable=False,
        comment="how many there ever were: the position of the newest",
    )
