import click

from worker import schema
from worker.database import make_engine
from worker.settings import settings


@click.command
def migrate() -> None:
    """Bring the database's schema to the newest version.

    Safe to run twice, and by two people at once. The database user must be able to create the
    roles that guard the ledger; the error says what to run where it is not.
    """
    engine = make_engine(settings().sqlalchemy_url, None)
    with engine.connect() as connection:
        before = schema.current(connection)
        connection.rollback()
        schema.upgrade(connection)
        after = schema.current(connection)
    engine.dispose()
    click.echo(f"Schema is at {after}." if before == after else f"Schema: {before} -> {after}.")


commands = {"migrate": migrate}
