"""Tokens outlive a step back to a schema with fewer scopes, and can do no more than before."""

from sqlalchemy import text

from tests.support.plain import plain_database
from worker import schema
from worker.database import make_engine


def test_tokens_with_newer_scopes_keep_the_older_ones_or_are_revoked(postgres_server: str) -> None:
    with plain_database(postgres_server) as url:
        engine = make_engine(url, None)
        with engine.connect() as connection:
            schema.upgrade(connection)
        insert = text(
            "INSERT INTO api_tokens (name, digest, scopes)"
            " VALUES (:name, sha256(CAST(:name AS bytea)), :scopes)"
        )
        tokens = {
            "gateway": ["guard", "ingest"],
            "operator": ["budgets", "channels"],
            "plain": ["read"],
        }
        with engine.begin() as connection:
            for name, scopes in tokens.items():
                connection.execute(insert, {"name": name, "scopes": scopes})
        with engine.connect() as connection:
            schema.downgrade(connection, "0011")
            rows = connection.execute(
                text("SELECT name, scopes, revoked_at IS NULL FROM api_tokens ORDER BY name")
            )
            assert [tuple(row) for row in rows] == [
                ("gateway", ["ingest"], True),
                ("operator", ["read"], False),
                ("plain", ["read"], True),
            ]
        engine.dispose()


def test_bound_tokens_are_revoked_where_nothing_can_bind_them(postgres_server: str) -> None:
    """A step back takes the columns; a token without them would see everything."""
    with plain_database(postgres_server) as url:
        engine = make_engine(url, None)
        with engine.connect() as connection:
            schema.upgrade(connection)
        insert = text(
            "INSERT INTO api_tokens (name, digest, scopes, team)"
            " VALUES (:name, sha256(CAST(:name AS bytea)), :scopes, :team)"
        )
        tokens: dict[str, tuple[list[str], str | None]] = {
            "bound": (["read"], "web"),
            "metrics": (["metrics"], None),
            "plain": (["metrics", "read"], None),
        }
        with engine.begin() as connection:
            for name, (scopes, team) in tokens.items():
                connection.execute(insert, {"name": name, "scopes": scopes, "team": team})
        with engine.connect() as connection:
            schema.downgrade(connection, "0012")
            rows = connection.execute(
                text("SELECT name, scopes, revoked_at IS NULL FROM api_tokens ORDER BY name")
            )
            assert [tuple(row) for row in rows] == [
                ("bound", ["read"], False),
                ("metrics", ["read"], False),
                ("plain", ["read"], True),
            ]
            connection.rollback()
            schema.upgrade(connection)
        engine.dispose()
