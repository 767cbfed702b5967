from datetime import datetime

from sqlalchemy import BigInteger, Identity, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import UserDefinedType

from models.base import Base


class TxidSnapshot(UserDefinedType[str]):
    """Postgres' txid_snapshot: which transactions had ended at a moment."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "txid_snapshot"


class Tick(Base):
    """A moment of the ledger: exactly the rows whose transactions its snapshot shows."""

    __tablename__ = "ticks"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(
        TIMESTAMP(timezone=True), server_default=text("clock_timestamp()"), nullable=False
    )
    snapshot: Mapped[str] = mapped_column(TxidSnapshot, nullable=False)
    system_identifier: Mapped[int] = mapped_column(
        BigInteger,
        nullable=False,
        comment="of the cluster; txids of a restored dump mean nothing in another one",
    )
    fence_id: Mapped[int] = mapped_column(
        BigInteger,
        server_default=text("0"),
        nullable=False,
        comment="ledger ids up to this one are counted whatever their txid (after a restore)",
    )
