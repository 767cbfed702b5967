"""What a token may do beyond sending events: change budgets, alerts and channels, ask the guard."""

from alembic import op

from migrations import comments

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

SCOPES = """
ALTER TABLE api_tokens DROP CONSTRAINT ck_api_tokens_scopes;
ALTER TABLE api_tokens ADD CONSTRAINT ck_api_tokens_scopes CHECK (cardinality(scopes) > 0 AND
  scopes <@ ARRAY['ingest', 'read', 'budgets', 'alerts', 'channels', 'guard']);
"""

# A token without one of the older scopes could do nothing any more: it is revoked, and stays known.
OLDER = """
UPDATE api_tokens SET
  scopes = array_remove(ARRAY[
    CASE WHEN 'ingest' = ANY (scopes) THEN 'ingest' END,
    CASE WHEN 'read' = ANY (scopes) OR NOT 'ingest' = ANY (scopes) THEN 'read' END
  ], NULL),
  revoked_at = CASE WHEN scopes && ARRAY['ingest', 'read'] THEN revoked_at
    ELSE coalesce(revoked_at, now()) END
WHERE NOT scopes <@ ARRAY['ingest', 'read'];
ALTER TABLE api_tokens DROP CONSTRAINT ck_api_tokens_scopes;
ALTER TABLE api_tokens ADD CONSTRAINT ck_api_tokens_scopes
  CHECK (cardinality(scopes) > 0 AND scopes <@ ARRAY['ingest', 'read']);
"""


def upgrade() -> None:
    op.execute(SCOPES)
    _comment("what it may do: ingest, read, budgets, alerts, channels, guard")


def downgrade() -> None:
    op.execute(OLDER)
    _comment("what it may do: ingest, read")


def _comment(scopes: str) -> None:
    for statement in comments.statements({"api_tokens": {"scopes": scopes}}):
        op.execute(statement)
