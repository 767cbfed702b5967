from datetime import datetime

from sqlalchemy import Index, Integer, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base
from models.measures import MeasureColumns


class SpendBucket(MeasureColumns, Base):
    """Spend per 15 minutes and series.

    Every UTC offset in use is a multiple of 15 minutes, so a day of any zone is a sum of buckets.
    """

    __tablename__ = "spend_buckets"
    # Room for the next version of a row on its own page: no indexed column ever changes, so
    # nearly all updates are heap-only.
    __table_args__ = (
        # Few buckets are in it, and only what changes `unpriced` itself is no heap-only update.
        Index(
            "ix_spend_buckets_unpriced",
            "series_id",
            "bucket",
            postgresql_where=text("unpriced > 0"),
        ),
        {"postgresql_with": {"fillfactor": "70"}},
    )

    bucket: Mapped[datetime] = mapped_column(
        TIMESTAMP(timezone=True), primary_key=True, comment="start of the 15 minutes"
    )
    series_id: Mapped[int] = mapped_column(Integer, primary_key=True)
