from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class AttributionValue(Base):
    """A value that some request had in a field; a limit counts them, so that none has no end."""

    __tablename__ = "attribution_values"

    field: Mapped[str] = mapped_column(
        Text,
        primary_key=True,
        comment="an attribution field, tag (those without a key), tag:KEY, or tag_keys",
    )
    value: Mapped[str] = mapped_column(Text, primary_key=True)
