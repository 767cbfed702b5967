from datetime import datetime

from sqlalchemy import CheckConstraint, Identity, Integer, Text, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from models.attributions import ATTRIBUTION_FIELDS
from models.base import Base

MATCH_FIELDS = (*ATTRIBUTION_FIELDS, "tag", "provider", "model")


def _one_of(column: str, names: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(name) for name in names)})"


class AttributionRule(Base):
    """Fills an attribution field that a request does not say, from something that it does say."""

    __tablename__ = "attribution_rules"
    __table_args__ = (
        CheckConstraint("valid_to >= valid_from", name="period"),
        CheckConstraint(_one_of("match_field", MATCH_FIELDS), name="match_field"),
        CheckConstraint(_one_of("set_field", ATTRIBUTION_FIELDS), name="set_field"),
        CheckConstraint("match_value <> '' AND set_value <> ''", name="named"),
    )

    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    match_field: Mapped[str] = mapped_column(Text, nullable=False)
    match_value: Mapped[str] = mapped_column(
        Text, nullable=False, comment="exact, or what it begins with before a trailing *"
    )
    set_field: Mapped[str] = mapped_column(Text, nullable=False)
    set_value: Mapped[str] = mapped_column(Text, nullable=False)
    priority: Mapped[int] = mapped_column(
        Integer, server_default=text("0"), nullable=False, comment="higher goes first"
    )
    valid_from: Mapped[datetime | None] = mapped_column(
        TIMESTAMP(timezone=True), comment="requests that began then or later; NULL is since ever"
    )
    valid_to: Mapped[datetime | None] = mapped_column(
        TIMESTAMP(timezone=True), comment="requests that began before; NULL is without end"
    )
    created_at: Mapped[datetime] = mapped_column(
        TIMESTAMP(timezone=True), server_default=text("now()"), nullable=False
    )
    created_by: Mapped[str] = mapped_column(Text, server_default=text("''"), nullable=False)
