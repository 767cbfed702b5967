from datetime import date

from sqlalchemy import Date, ForeignKey, Integer
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class LitellmDay(Base):
    """A day (UTC) of which spend logs were booked, so that daily tables never add it again."""

    __tablename__ = "litellm_days"

    source_id: Mapped[int] = mapped_column(
        Integer, ForeignKey("litellm_sources.id"), primary_key=True
    )
    day: Mapped[date] = mapped_column(Date, primary_key=True)
