"""The schema can go up, down and up again, and is what the models say."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from migrations.env_rules import include
from models import Base
from spend.pricing import Rates, Tier, overrides
from tests.support.databases import made
from worker import schema
from worker.database import make_engine

CONTENTS = text(
    "SELECT string_agg(c.relkind::text || c.relname, ',' ORDER BY c.relname) FROM pg_class c"
    " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public'"
)


@pytest.fixture
def empty(postgres_server: str) -> Iterator[Engine]:
    """A database without a schema."""
    with made(postgres_server, "spendbeat_migrations") as url:
        engine = make_engine(url, None)
        yield engine
        engine.dispose()


def contents(engine: Engine) -> str:
    with engine.connect() as connection:
        return str(connection.scalar(CONTENTS))


def test_up_down_up_ends_where_it_began(empty: Engine) -> None:
    with empty.connect() as connection:
        schema.upgrade(connection)
    first = contents(empty)
    with empty.connect() as connection:
        schema.downgrade(connection, "base")
    assert contents(empty).replace("ialembic_version_pkc", "").strip(",") == "ralembic_version"
    with empty.connect() as connection:
        schema.upgrade(connection)
    assert contents(empty) == first


def test_models_equal_head(empty: Engine) -> None:
    """With comments and types; partitions are the database's own affair."""
    with empty.connect() as connection:
        schema.upgrade(connection)
        options = {"include_object": include, "compare_type": True}
        found = compare_metadata(
            MigrationContext.configure(connection, opts=options), Base.metadata
        )
    assert found == []


def test_two_people_migrate_at_once(empty: Engine) -> None:
    command = [sys.executable, "-m", "worker.cli", "migrate"]
    environment = {**os.environ, "DATABASE_URL": empty.url.render_as_string(False)}
    people = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(3)
    ]
    said = [person.communicate(timeout=60)[0].decode() for person in people]
    assert [person.returncode for person in people] == [0, 0, 0], said
    with empty.connect() as connection:
        assert schema.current(connection) == schema.head()


def test_a_login_without_the_right_to_make_roles_is_told_what_to_run(
    empty: Engine,
) -> None:
    from migrations.roles import ensure_roles
    from spend.errors import SpendbeatError

    login = f"spendbeat_test_plain_{uuid.uuid4().hex[:8]}"
    with empty.connect() as connection:
        ensure_roles(connection)
        connection.execute(text(f"CREATE ROLE {login} LOGIN"))
        connection.commit()
    url = empty.url.set(username=login).render_as_string(False)
    plain = make_engine(url, None)
    try:
        with plain.connect() as connection, pytest.raises(SpendbeatError, match="GRANT"):
            schema.upgrade(connection)
    finally:
        plain.dispose()
        with empty.connect() as connection:
            connection.execute(text(f"DROP ROLE {login}"))
            connection.commit()


def test_prices_set_before_they_had_tiers_stay_what_they_are(empty: Engine) -> None:
    """Up and down again; an end that was learned later is in the older form the price's end."""
    with empty.connect() as connection:
        schema.upgrade(connection, "0002")
        connection.execute(
            text(
                "INSERT INTO price_overrides (provider, model, valid_from, input_per_million,"
                " output_per_million, cache_read_per_million) VALUES"
                " ('acme', 'one', '2026-01-01Z', 1.5, 30, NULL),"
                " ('acme', 'two', '2026-01-01Z', 0.000000000001, 0, 0.1)"
            )
        )
        connection.commit()
        schema.upgrade(connection)
    with Session(empty) as session, session.begin():
        one, two = overrides.load(session)
        assert one.tiers == (Tier(0, Rates(Decimal("1.5"), Decimal(30))),)
        tiny = Decimal("0.000000000001")
        assert two.tiers == (Tier(0, Rates(tiny, Decimal(0), Decimal("0.1"))),)
        overrides.end(session, one.id, datetime(2026, 6, 1, tzinfo=UTC))
        overrides.end(session, two.id, None)
    with empty.connect() as connection:
        schema.downgrade(connection, "0002")
        rows = connection.execute(
            text(
                "SELECT input_per_million, cache_read_per_million, valid_to IS NOT NULL"
                " FROM price_overrides ORDER BY id"
            )
        )
        assert [tuple(row) for row in rows] == [
            (Decimal("1.5"), None, True),
            (tiny, Decimal("0.1"), False),
        ]
