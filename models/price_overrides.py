from datetime import datetime

from sqlalchemy import CheckConstraint, Identity, Integer, Text, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class PriceOverride(Base):
    """A price of one's own or of an imported list, valid from one time to another.

    Never changed: what is learned later about its end is a row of price_ends.
    """

    __tablename__ = "price_overrides"
    __table_args__ = (
        CheckConstraint("valid_to IS NULL OR valid_to > valid_from", name="period"),
        CheckConstraint("provider <> '' AND model <> ''", name="named"),
        CheckConstraint(
            "jsonb_typeof(tiers) = 'array' AND tiers <> CAST('[]' AS jsonb)", name="tiers"
        ),
    )

    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    provider: Mapped[str] = mapped_column(Text, nullable=False)
    model: Mapped[str] = mapped_column(Text, nullable=False)
    valid_from: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), nullable=False)
    valid_to: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    known_at: Mapped[datetime] = mapped_column(
        TIMESTAMP(timezone=True),
        server_default=text("now()"),
        nullable=False,
        comment="when it was recorded; a book of an earlier moment does not have it",
    )
    note: Mapped[str] = mapped_column(Text, server_default=text("''"), nullable=False)
    list: Mapped[str] = mapped_column(
        Text,
        server_default=text("''"),
        nullable=False,
        comment="the price list that it was imported from; empty for a price of one's own",
    )
    tiers: Mapped[object] = mapped_column(
        JSONB,
        nullable=False,
        comment="array of {above, service, rates}: dollars per million tokens as text, for"
        " prompts of more than `above` tokens at that service tier; request is per request",
    )
