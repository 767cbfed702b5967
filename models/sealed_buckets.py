from datetime import datetime

from sqlalchemy import Integer
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base
from models.measures import MeasureColumns


class SealedBucket(MeasureColumns, Base):
    """What dropped ledger rows came to at the grain of buckets, so that a rebuild can add them."""

    __tablename__ = "sealed_buckets"

    bucket: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), primary_key=True)
    series_id: Mapped[int] = mapped_column(Integer, primary_key=True)
