from datetime import datetime

from sqlalchemy import Text, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class ApiKeyName(Base):
    """The name that a gateway gave to a key, kept when the key is deleted."""

    __tablename__ = "api_key_names"

    hash: Mapped[str] = mapped_column(
        Text, primary_key=True, comment="the gateway's hash of the key, never the key"
    )
    name: Mapped[str] = mapped_column(Text, nullable=False, comment="its alias, the newest known")
    learned_at: Mapped[datetime] = mapped_column(
        TIMESTAMP(timezone=True), server_default=text("now()"), nullable=False
    )
