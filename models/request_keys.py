from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class RequestKey(Base):
    """Who a request is: each id it is known by, hashed, leads to its one ledger row.

    Written in the transaction that writes the row, and kept when the row's month is sealed.
    """

    __tablename__ = "request_keys"

    key: Mapped[UUID] = mapped_column(
        PG_UUID, primary_key=True, comment="16 bytes of a hash of one id of the request"
    )
    row_id: Mapped[int] = mapped_column(BigInteger, nullable=False, comment="cost_logs.id")
    digest: Mapped[int] = mapped_column(
        BigInteger, nullable=False, comment="of the content, without what rounds between routes"
    )
    started_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), nullable=False)
