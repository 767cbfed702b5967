from sqlalchemy import Integer, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class PriceVersion(Base):
    """Where a cost came from; a ledger row keeps the id.

    source is one of: given (by whoever sent the row), gateway, provider, override, list, local,
    genai-prices, unpriced; and reprice, reprice-undo for adjustments of a repricing, with its id
    as the version.
    """

    __tablename__ = "price_versions"
    __table_args__ = (UniqueConstraint("source", "version", "assumption"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    source: Mapped[str] = mapped_column(Text, nullable=False)
    version: Mapped[str] = mapped_column(
        Text, server_default=text("''"), nullable=False, comment="release, or the override's id"
    )
    assumption: Mapped[str] = mapped_column(
        Text,
        server_default=text("''"),
        nullable=False,
        comment="'before-first-price' where the first known price was applied before its date",
    )
