"""What was attributed before limits came stays known, however many values it has."""

from sqlalchemy import text
from sqlalchemy.orm import Session

from spend import attributions
from spend.attribution import limits
from spend.attribution.mix import Mix
from tests.support.plain import plain_database
from worker import schema
from worker.database import make_engine

OLD = [
    Mix(project="a", tags=("env:prod", "x", "y")),
    Mix(project="b", user_id="ada", tags=("env:", ":odd", "url:http://h:1")),
]


def test_values_recorded_before_are_known_to_the_limits(postgres_server: str) -> None:
    with plain_database(postgres_server) as url:
        engine = make_engine(url, None)
        with engine.connect() as connection:
            schema.upgrade(connection, "0003")
        insert = text(
            "INSERT INTO attributions (digest, project, user_id, tags)"
            " VALUES (:digest, :project, :user_id, :tags)"
        )
        with engine.begin() as connection:
            for mix in OLD:
                binds = {"digest": mix.digest, "project": mix.project, "user_id": mix.user_id}
                connection.execute(insert, {**binds, "tags": list(mix.tags)})
        with engine.connect() as connection:
            schema.upgrade(connection)
        with Session(engine) as session, session.begin():
            found = {limit.field: limit.known for limit in limits.listed(session)}
            assert {field: known for field, known in found.items() if known} == {
                "project": 2,
                "user_id": 1,
                "tag": 2,
                "tag_keys": 3,
                "tag:env": 2,
                "tag:url": 1,
                "tag:": 1,
                "combinations": 2,
            }
            for field in found:
                limits.store(session, field, 0)
            for mix in OLD:
                mixed = mix._replace(agent=None, project="a")
                attributions.resolve(session, [mixed])
            assert {limit.replaced for limit in limits.listed(session) if limit.field != (
                "combinations"
            )} == {0}, "the capping knows the same values as the migration"  # fmt: skip
        engine.dispose()
