"""Runs migrations as the owner role, one process at a time, without waiting behind a lock."""

from alembic import context
from sqlalchemy import Connection, text

from migrations.env_rules import include
from migrations.roles import ensure_roles
from models import Base
from worker.database import make_engine
from worker.settings import settings

_LOCK = 0x5BEA7_0001


def run(connection: Connection) -> None:
    connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
    connection.commit()
    try:
        ensure_roles(connection)
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            include_object=include,
            compare_server_default=False,
            transaction_per_migration=True,
        )
        connection.execute(text("SET ROLE spendbeat_owner"))
        connection.execute(text("SET lock_timeout = '5s'"))
        connection.execute(text("SET statement_timeout = '15min'"))
        connection.commit()
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()
    finally:
        connection.rollback()
        connection.execute(text("RESET ROLE"))
        connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
        connection.commit()


if context.is_offline_mode():
    raise SystemExit("Migrations need a database: they take a lock and read what is there.")

_connection = context.config.attributes.get("connection")
if _connection is not None:
    run(_connection)
else:
    _engine = make_engine(settings().sqlalchemy_url, None)
    with _engine.connect() as _own:
        run(_own)
    _engine.dispose()
