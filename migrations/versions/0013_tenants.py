"""What a bound token may see: row-level security, and the columns that bind a token.

A policy that lets everybody see everything is folded away when a statement is planned; the second
one narrows it for the tenants' role alone. A login that may act as each role is a member of that
one too, so the first of these policies asks who is acting, once per statement.

COPY into a table with row-level security is refused, even where a policy lets everybody do
everything, and the ledger is written with COPY. So the ledger has none: it becomes the one
partition of a table that has, and bound tokens read through that one, without a grant on the ledger.
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
# Who may see which attributions sees what is attributed to them. Only the first asks who acts: for
# others than tenants all attributions are the answer. IN, since Postgres hashes what that selects; an
# array is searched from its beginning for every row.
OWN = {
    "attributions": f"{_SOMEBODY_ELSE} OR ({_OWN})",
    "series": "attribution_id IN (SELECT id FROM attributions)",
    "spend_buckets": "series_id IN (SELECT id FROM series)",
    "visible_cost_logs": "attribution_id IN (SELECT id FROM attributions)",
}
_EVERYBODY = "CREATE POLICY everybody ON {table} USING (true) WITH CHECK (true)"
_RESTRICT = (
    "CREATE POLICY own ON {table} AS RESTRICTIVE FOR SELECT TO spendbeat_tenant USING ({own})"
)

# The partition's bounds leave only what holds anyway, so no row is read when it is attached. A
# statement trigger of a partition does not see what is done through the parent.
LEDGER = """
CREATE TABLE visible_cost_logs (LIKE cost_logs INCLUDING COMMENTS)
  PARTITION BY RANGE (started_at);
ALTER TABLE visible_cost_logs ATTACH PARTITION cost_logs FOR VALUES FROM (MINVALUE) TO (MAXVALUE);
SELECT spendbeat_guard('visible_cost_logs');
GRANT SELECT ON visible_cost_logs TO spendbeat_writer, spendbeat_reader;
"""

# As it was, but for the name of the ledger, and that it asks who looks instead of who made it.
VIEW = """
CREATE OR REPLACE VIEW token_usage WITH (security_invoker = {invoker}) AS
SELECT r.id, r.started_at, r.created_at, r.provider, r.model, r.status,
  a.organization, a.project, a.sprint, a.agent, a.user_id, a.team, a.api_key, a.tags,
  r.input_tokens + coalesce(j.input_tokens, 0) AS input_tokens,
  r.output_tokens + coalesce(j.output_tokens, 0) AS output_tokens,
  r.cache_read_tokens + coalesce(j.cache_read_tokens, 0) AS cache_read_tokens,
  r.cache_write_tokens + coalesce(j.cache_write_tokens, 0) AS cache_write_tokens,
  r.cache_write_1h_tokens + coalesce(j.cache_write_1h_tokens, 0) AS cache_write_1h_tokens,
  r.reasoning_tokens + coalesce(j.reasoning_tokens, 0) AS reasoning_tokens,
  r.audio_input_tokens + coalesce(j.audio_input_tokens, 0) AS audio_input_tokens,
  r.audio_output_tokens + coalesce(j.audio_output_tokens, 0) AS audio_output_tokens,
  CASE WHEN (r.cost_usd IS NULL)::integer + coalesce(j.unpriced, 0) <= 0
    THEN coalesce(r.cost_usd, 0) + coalesce(j.cost_usd, 0) END AS cost_usd,
  coalesce(j.adjustments, 0) AS adjustments,
  r.request_id, r.trace_id, r.session_id, r.end_user
FROM {ledger} AS r
LEFT JOIN (
  SELECT adjusts_id, started_at, count(*) AS adjustments,
    sum(cost_usd) AS cost_usd, sum(unpriced) AS unpriced,
    sum(input_tokens)::bigint AS input_tokens, sum(output_tokens)::bigint AS output_tokens,
    sum(cache_read_tokens)::bigint AS cache_read_tokens,
    sum(cache_write_tokens)::bigint AS cache_write_tokens,
    sum(cache_write_1h_tokens)::bigint AS cache_write_1h_tokens,
    sum(reasoning_tokens)::bigint AS reasoning_tokens,
    sum(audio_input_tokens)::bigint AS audio_input_tokens,
    sum(audio_output_tokens)::bigint AS audio_output_tokens
  FROM {ledger} WHERE adjusts_id IS NOT NULL GROUP BY adjusts_id, started_at
) AS j ON j.adjusts_id = r.id AND j.started_at = r.started_at
LEFT JOIN attributions AS a ON a.id = r.attribution_id
WHERE r.adjusts_id IS NULL
"""

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
    op.execute(TOKENS)
    for statement in comments.statements(COMMENTS):
        op.execute(statement)
    op.execute(LEDGER)
    op.execute("GRANT USAGE ON SCHEMA public TO spendbeat_tenant")
    for table, own in OWN.items():
        op.execute(_EVERYBODY.format(table=table))
        op.execute(_RESTRICT.format(table=table, own=own))
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
        op.execute(f"GRANT SELECT ON {table} TO spendbeat_tenant")
    op.execute(VIEW.format(ledger="visible_cost_logs", invoker="true"))
    # Where a price came from: names of lists, nobody's own.
    op.execute("GRANT SELECT ON token_usage, price_versions TO spendbeat_tenant")


def downgrade() -> None:
    op.execute("REVOKE SELECT ON token_usage, price_versions FROM spendbeat_tenant")
    op.execute(VIEW.format(ledger="cost_logs", invoker="false"))
    for table in OWN:
        op.execute(f"REVOKE SELECT ON {table} FROM spendbeat_tenant")
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY")
        op.execute(f"DROP POLICY own ON {table}")
        op.execute(f"DROP POLICY everybody ON {table}")
    op.execute("REVOKE USAGE ON SCHEMA public FROM spendbeat_tenant")
    op.execute("ALTER TABLE visible_cost_logs DETACH PARTITION cost_logs")
    op.execute("DROP TABLE visible_cost_logs")
    op.execute(OLDER_TOKENS)
    for statement in comments.statements(OLDER_COMMENTS):
        op.execute(statement)
