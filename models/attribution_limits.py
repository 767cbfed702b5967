from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Integer, Text, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class AttributionLimit(Base):
    """How many values a field has, how many it may have, and what was replaced by (other)."""

    __tablename__ = "attribution_limits"
    __table_args__ = (
        CheckConstraint("most >= 0", name="most"),
        # Two figures of a row change again and again; room for them on the same page.
        {"postgresql_with": {"fillfactor": "50"}},
    )

    field: Mapped[str] = mapped_column(
        Text, primary_key=True, comment="as in attribution_values, tag:*, or combinations"
    )
    most: Mapped[int | None] = mapped_column(Integer, comment="NULL is the default")
    known: Mapped[int] = mapped_column(
        Integer, server_default=text("0"), nullable=False, comment="distinct values so far"
    )
    replaced: Mapped[int] = mapped_column(
        BigInteger,
        server_default=text("0"),
        nullable=False,
        comment="how often a new value was replaced",
    )
    capped_since: Mapped[datetime | None] = mapped_column(
        TIMESTAMP(timezone=True), comment="first replacement since the limit was set"
    )
    capped_at: Mapped[datetime | None] = mapped_column(
        TIMESTAMP(timezone=True), comment="newest replacement"
    )
    example: Mapped[str | None] = mapped_column(Text, comment="a value that was replaced")
