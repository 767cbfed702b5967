"""What a scrape counts is found by an index, however much of the rest there is."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX ix_event_inbox_rejected ON event_inbox (id) WHERE error IS NOT NULL")
    op.execute("CREATE INDEX ix_price_disagreements_found_at ON price_disagreements (found_at)")


def downgrade() -> None:
    op.execute("DROP INDEX ix_price_disagreements_found_at")
    op.execute("DROP INDEX ix_event_inbox_rejected")
