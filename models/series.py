from sqlalchemy import Identity, Integer, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class Series(Base):
    """A provider, model and attribution under one small number, which keeps bucket keys narrow."""

    __tablename__ = "series"
    __table_args__ = (UniqueConstraint("provider", "model", "attribution_id"),)

    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    provider: Mapped[str] = mapped_column(Text, nullable=False)
    model: Mapped[str] = mapped_column(Text, nullable=False)
    attribution_id: Mapped[int] = mapped_column(Integer, nullable=False)
