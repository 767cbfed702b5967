from uuid import UUID

from sqlalchemy import Integer, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base

ATTRIBUTION_FIELDS = (
    "organization",
    "project",
    "sprint",
    "agent",
    "user_id",
    "team",
    "api_key",
)


class Attribution(Base):
    """A combination of who and what for; a ledger row keeps its id, frozen at event time."""

    __tablename__ = "attributions"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    digest: Mapped[UUID] = mapped_column(
        PG_UUID, unique=True, nullable=False, comment="hash of all fields, so one row per mix"
    )
    organization: Mapped[str | None] = mapped_column(Text)
    project: Mapped[str | None] = mapped_column(Text)
    sprint: Mapped[str | None] = mapped_column(Text)
    agent: Mapped[str | None] = mapped_column(Text)
    user_id: Mapped[str | None] = mapped_column(Text)
    team: Mapped[str | None] = mapped_column(Text)
    api_key: Mapped[str | None] = mapped_column(Text, comment="a name or a hash, never a key")
    tags: Mapped[list[str]] = mapped_column(
        ARRAY(Text), server_default=text("'{}'"), nullable=False, comment="sorted, distinct"
    )
