from datetime import datetime
from decimal import Decimal

from sqlalchemy import (
    BigInteger,
    Index,
    Integer,
    Sequence,
    SmallInteger,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base
from models.measures import MONEY, TokenColumns

COST_LOG_IDS = Sequence("cost_logs_id_seq", metadata=Base.metadata)

STATUSES = ("success", "failure")


class LedgerColumns(TokenColumns):
    """What is known of a request, but for its id."""

    txid: Mapped[int] = mapped_column(
        BigInteger,
        server_default=text("txid_current()"),
        nullable=False,
        comment="the transaction that wrote the row; rollups select by it, nobody else sets it",
    )
    started_at: Mapped[datetime] = mapped_column(
        TIMESTAMP(timezone=True),
        server_default=text("now()"),
        nullable=False,
        comment="when the request began; decides its day and its partition",
    )
    created_at: Mapped[datetime] = mapped_column(
        TIMESTAMP(timezone=True), server_default=text("now()"), nullable=False, comment="arrival"
    )
    adjusts_id: Mapped[int | None] = mapped_column(
        BigInteger, comment="the row that this one corrects; such a row is no request"
    )
    attribution_id: Mapped[int] = mapped_column(
        Integer, server_default=text("0"), nullable=False, comment="0 is unattributed"
    )
    price_version_id: Mapped[int] = mapped_column(
        Integer, server_default=text("0"), nullable=False, comment="0 is booked as it was given"
    )
    unpriced: Mapped[int] = mapped_column(
        SmallInteger,
        server_default=text("0"),
        nullable=False,
        comment="read in adjustments only: -1 settles an unpriced request, +1 takes that back",
    )
    provider: Mapped[str] = mapped_column(Text, nullable=False)
    model: Mapped[str] = mapped_column(Text, nullable=False)
    cost_usd: Mapped[Decimal | None] = mapped_column(
        MONEY, comment="NULL is a price that is not known, never a zero"
    )
    status: Mapped[str] = mapped_column(Text, server_default=text("'success'"), nullable=False)
    request_id: Mapped[str | None] = mapped_column(Text, comment="the sender's id of the request")
    trace_id: Mapped[str | None] = mapped_column(Text)
    session_id: Mapped[str | None] = mapped_column(Text)
    end_user: Mapped[str | None] = mapped_column(Text)
    service_tier: Mapped[str | None] = mapped_column(
        Text, comment="batch, flex, priority or whatever the provider calls it; NULL is standard"
    )
    computed_cost_usd: Mapped[Decimal | None] = mapped_column(
        MONEY, comment="by our own prices, where another cost was booked"
    )
    gateway_cost_usd: Mapped[Decimal | None] = mapped_column(
        MONEY, comment="what the gateway computed, where another cost was booked"
    )
    provider_cost_usd: Mapped[Decimal | None] = mapped_column(
        MONEY, comment="what the provider reported, where another cost was booked"
    )


class CostLog(LedgerColumns, Base):
    """The ledger: one row per LLM request, one signed row per later correction; append only.

    There is no primary key in the database: a unique index on a partitioned table must contain
    the partition key, so it could not tell one request from its copy with another time, and it
    would cost every writer a B-tree. Identity is `request_keys`; ids come from one sequence.
    Neither is there a foreign key to `attributions`, whose check would cost more than the insert,
    nor a CHECK, which is compiled for every statement. A row counts one request unless it adjusts
    another, and is unpriced while its cost is NULL, so no row can contradict itself.
    """

    __tablename__ = "cost_logs"
    __table_args__ = (
        # Rows arrive in the order of their transactions, ids and (mostly) times, so a block range
        # index finds each of them at a thousandth of a B-tree's cost.
        Index(
            "ix_cost_logs_txid_id_started_at",
            "txid",
            "id",
            "started_at",
            postgresql_using="brin",
            postgresql_with={"pages_per_range": "32", "autosummarize": "on"},
        ),
        # An adjustment keeps its row's started_at, so this is unique over all partitions.
        Index(
            "uq_cost_logs_adjustment",
            "adjusts_id",
            "price_version_id",
            "started_at",
            unique=True,
            postgresql_where=text("adjusts_id IS NOT NULL"),
        ),
        {"postgresql_partition_by": "RANGE (started_at)"},
    )
    __mapper_args__ = {"primary_key": ["id"]}  # noqa: RUF012 - SQLAlchemy's own spelling

    id: Mapped[int] = mapped_column(
        BigInteger, COST_LOG_IDS, server_default=COST_LOG_IDS.next_value(), nullable=False
    )
