from sqlalchemy import Boolean, CheckConstraint, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class ReportingZone(Base):
    """The one time zone whose days `daily_cost_summaries` holds.

    It is stored beside the data, not in the environment: workers that disagreed about it would
    cut days in two places.
    """

    __tablename__ = "reporting_zone"
    __table_args__ = (CheckConstraint("only_row", name="only_row"),)

    only_row: Mapped[bool] = mapped_column(Boolean, primary_key=True, server_default=text("true"))
    zone: Mapped[str] = mapped_column(Text, nullable=False, comment="an IANA name")
