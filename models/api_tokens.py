from datetime import datetime

from sqlalchemy import CheckConstraint, Identity, Index, Integer, LargeBinary, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base

SCOPES = ("ingest", "read", "budgets", "alerts", "channels", "guard", "metrics")


class ApiToken(Base):
    """A bearer token of the HTTP service; its secret was shown once and is kept nowhere.

    Revoked, never deleted, so that it stays known who had access and until when.
    """

    __tablename__ = "api_tokens"
    __table_args__ = (
        CheckConstraint("name <> ''", name="named"),
        CheckConstraint(
            "cardinality(scopes) > 0 AND"
            " scopes <@"
            " ARRAY['ingest', 'read', 'budgets', 'alerts', 'channels', 'guard', 'metrics']",
            name="scopes",
        ),
        CheckConstraint("organization <> '' AND team <> '' AND api_key <> ''", name="bound"),
        CheckConstraint(
            "num_nonnulls(organization, team, api_key) = 0 OR scopes = ARRAY['read']",
            name="bound_scopes",
        ),
        CheckConstraint("octet_length(digest) = 32", name="digest"),
        Index(
            "uq_api_tokens_live_name",
            "name",
            unique=True,
            postgresql_where=text("revoked_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(
        Text, nullable=False, comment="for people; only one live token has it"
    )
    digest: Mapped[bytes] = mapped_column(
        LargeBinary, unique=True, nullable=False, comment="SHA-256 of the secret"
    )
    scopes: Mapped[list[str]] = mapped_column(
        ARRAY(Text),
        nullable=False,
        comment="what it may do: ingest, read, budgets, alerts, channels, guard, metrics",
    )
    organization: Mapped[str | None] = mapped_column(
        Text, comment="it sees only what is attributed to this one; NULL: to any"
    )
    team: Mapped[str | None] = mapped_column(
        Text, comment="it sees only what is attributed to this one; NULL: to any"
    )
    api_key: Mapped[str | None] = mapped_column(
        Text,
        comment="a name or a hash, never a key: it sees only what is attributed to it;"
        " NULL: to any",
    )
    created_at: Mapped[datetime] = mapped_column(
        TIMESTAMP(timezone=True), server_default=text("now()"), nullable=False
    )
    revoked_at: Mapped[datetime | None] = mapped_column(
        TIMESTAMP(timezone=True), comment="from when it was refused; NULL is live"
    )
    last_used_at: Mapped[datetime | None] = mapped_column(
        TIMESTAMP(timezone=True), comment="to the minute or so"
    )
