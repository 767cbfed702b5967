"""The schema's version: bringing it up to date, and checking that it is."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from spend.capture.adopt import aside

ROOT = Path(__file__).resolve().parent.parent


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "migrations"))
    return config


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Migrate up; safe to run twice, and by two people at once.

    The connection's login needs to be able to act as spendbeat_owner (see migrations/roles.py).
    Raises BadInputError where somebody else's tables have names of ours.
    """
    if current(connection) != head():
        aside.check_clear(connection)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def downgrade(connection: Connection, revision: str) -> None:
    """Migrate down; drops what the migrations after `revision` made, with its data."""
    config = _config()
    config.attributes["connection"] = connection
    command.downgrade(config, revision)


def head() -> str | None:
    """The newest version that this checkout knows."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def current(connection: Connection) -> str | None:
    """The version that the database has; None where it was never migrated."""
    return MigrationContext.configure(connection).get_current_revision()
