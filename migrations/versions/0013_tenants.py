"""What a bound token may see: row-level security, and the columns that bind a token.

A policy that lets everybody see everything is folded away when a statement is planned; the second
one narrows it for the tenants' role alone. A login that may act as each role is a member of that
one too, so the second policy asks who is acting, once per statement.
"""

from alembic import op

from migrations import comments

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TOKENS = """
ALTER TABLE api_tokens ADD COLUMN organization text, ADD COLUMN team text, ADD COLUMN api_key text;
ALTER TABLE api_tokens DROP CONSTRAINT ck_api_tokens_scopes;
ALTER TABLE api_tokens
  ADD CONSTRAINT ck_api_tokens_scopes CHECK (cardinality(scopes) > 0 AND scopes <@
    ARRAY['ingest', 'read', 'budgets', 'alerts', 'channels', 'guard', 'metrics']),
  ADD CONSTRAINT ck_api_tokens_bound CHECK
    (organization <> '' AND team <> '' AND api_key <> ''),
  ADD CONSTRAINT ck_api_tokens_bound_scopes CHECK
    (num_nonnulls(organization, team, api_key) = 0 OR scopes = ARRAY['read']);
GRANT SELECT (organization, team, api_key) ON api_tokens TO spendbeat_reader;
"""

# A token that sees only its own would see everything without these columns: it is revoked.
OLDER_TOKENS = """
UPDATE api_tokens SET
  scopes = coalesce(nullif(array_remove(scopes, 'metrics'), '{}'), ARRAY['read']),
  revoked_at = CASE WHEN num_nonnulls(organization, team, api_key) = 0 AND scopes <> ARRAY['metrics']
    THEN revoked_at ELSE coalesce(revoked_at, now()) END
WHERE num_nonnulls(organization, team, api_key) > 0 OR 'metrics' = ANY (scopes);
ALTER TABLE api_tokens DROP CONSTRAINT ck_api_tokens_scopes,
  DROP CONSTRAINT ck_api_tokens_bound, DROP CONSTRAINT ck_api_tokens_bound_scopes,
  DROP COLUMN organization, DROP COLUMN team, DROP COLUMN api_key;
ALTER TABLE api_tokens ADD CONSTRAINT ck_api_tokens_scopes CHECK (cardinality(scopes) > 0 AND
  scopes <@ ARRAY['ingest', 'read', 'budgets', 'alerts', 'channels', 'guard']);
"""

# A setting that was local to a transaction is an empty text afterwards, not NULL: both are unset.
_SET = "nullif((SELECT current_setting('spendbeat.{0}', true)), '')"
_MATCHES = "({0} = " + _SET + " OR " + _SET + " IS NULL)"
_BOUND = ("organization", "team", "api_key")
_ANY = "coalesce(" + ", ".join(_SET.format(name) for name in _BOUND) + ") IS NOT NULL"
_OWN = " AND ".join([_ANY, *(_MATCHES.format(name) for name in _BOUND)])
_SOMEBODY_ELSE = "(SELECT current_user <> 'spendbeat_tenant')"
# Who may see which rows of the first table sees those of the others that lead there.
OWN = {
    "attributions": _OWN,
    "series": "attribution_id = ANY (ARRAY(SELECT id FROM attributions))",
    "spend_buckets": "series_id = ANY (ARRAY(SELECT id FROM series))",
}
_RESTRICT = (
    "CREATE POLICY own ON {table} AS RESTRICTIVE FOR SELECT TO spendbeat_tenant USING ({narrowed})"
)


def _policies() -> list[str]:
    found = [
        "GRANT USAGE ON SCHEMA public TO spendbeat_tenant",
        # Where a price came from: names of lists, nobody's own.
        "GRANT SELECT ON price_versions TO spendbeat_tenant",
    ]
    for table, own in OWN.items():
        narrowed = f"{_SOMEBODY_ELSE} OR ({own})"
        found += [
            f"CREATE POLICY everybody ON {table} USING (true) WITH CHECK (true)",
            _RESTRICT.format(table=table, narrowed=narrowed),
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
            f"GRANT SELECT ON {table} TO spendbeat_tenant",
        ]
    return found


COMMENTS = {
    "api_tokens": {
        "scopes": "what it may do: ingest, read, budgets, alerts, channels, guard, metrics",
        "organization": "it sees only what is attributed to this one; NULL: to any",
        "team": "it sees only what is attributed to this one; NULL: to any",
        "api_key": "a name or a hash, never a key: it sees only what is attributed to it;"
        " NULL: to any",
    }
}
OLDER_COMMENTS = {
    "api_tokens": {"scopes": "what it may do: ingest, read, budgets, alerts, channels, guard"}
}


def upgrade() -> None:
    for statement in (TOKENS, *comments.statements(COMMENTS), *_policies()):
        op.execute(statement)


def downgrade() -> None:
    for table in OWN:
        op.execute(f"REVOKE SELECT ON {table} FROM spendbeat_tenant")
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY")
        op.execute(f"DROP POLICY own ON {table}")
        op.execute(f"DROP POLICY everybody ON {table}")
    op.execute("REVOKE SELECT ON price_versions FROM spendbeat_tenant")
    op.execute("REVOKE USAGE ON SCHEMA public FROM spendbeat_tenant")
    for statement in (OLDER_TOKENS, *comments.statements(OLDER_COMMENTS)):
        op.execute(statement)
