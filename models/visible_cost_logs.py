from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base
from models.cost_logs import LedgerColumns


class VisibleCostLog(LedgerColumns, Base):
    """The ledger as far as one may see it; `cost_logs` is its one partition.

    It has the row-level security of the ledger, since COPY into a table that has it is refused.
    Bound tokens see their own rows here and have no grant on anything below; everybody else sees
    what is in `cost_logs`. Rows come in there, never here.
    """

    __tablename__ = "visible_cost_logs"
    __table_args__ = ({"postgresql_partition_by": "RANGE (started_at)"},)
    __mapper_args__ = {"primary_key": ["id"]}  # noqa: RUF012 - SQLAlchemy's own spelling

    id: Mapped[int] = mapped_column(BigInteger, nullable=False)
