"""The roles, made once per cluster."""

from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from spend.errors import SpendbeatError

ROLES = {
    "spendbeat_owner": "owns the schema; migrations and sealing",
    "spendbeat_writer": "workers and capture: may add to the ledger, never change it",
    "spendbeat_reader": "reports, exporter, audits",
    "spendbeat_sender": "gateways that ship straight to Postgres: may add to the inbox",
    "spendbeat_tenant": "a token bound to one organization, team or key",
}

_CREATE = """
DO $$ BEGIN
  CREATE ROLE {role} NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$
"""
_JOIN = """
DO $$ BEGIN
  IF NOT pg_has_role(current_user, '{role}', 'MEMBER') THEN
    GRANT {role} TO CURRENT_USER;
  END IF;
END $$
"""
_OWN = """
DO $$ BEGIN
  IF NOT has_schema_privilege('spendbeat_owner', 'public', 'CREATE') THEN
    GRANT CREATE, USAGE ON SCHEMA public TO spendbeat_owner;
  END IF;
END $$
"""


def ensure_roles(connection: Connection) -> None:
    """Create what is missing and let the login act as each role.

    Raises SpendbeatError with the statements to run where the login may not create roles.
    """
    try:
        for role in ROLES:
            connection.execute(text(_CREATE.format(role=role)))
            connection.execute(text(_JOIN.format(role=role)))
        connection.execute(text(_OWN))
    except ProgrammingError as error:
        login = connection.engine.url.username
        statements = [f"CREATE ROLE {role} NOLOGIN; GRANT {role} TO {login};" for role in ROLES]
        statements.append("GRANT CREATE, USAGE ON SCHEMA public TO spendbeat_owner;")
        raise SpendbeatError(
            "This database user may not create the roles that guard the ledger. Have an"
            " administrator run, in this database:\n  " + "\n  ".join(statements)
        ) from error
