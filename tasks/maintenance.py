from datetime import UTC, datetime, timedelta

from spend import audit as audits
from spend import conflicts, feed, partitions, ticks
from worker.base import LedgerTask
from worker.celery import app
from worker.settings import settings

# An audit reads the whole ledger. Below the visibility timeout in celeryconfig.
_SOFT_LIMIT = 1700
_HARD_LIMIT = 1800


@app.task(bind=True, base=LedgerTask)
def prune(self: LedgerTask) -> int:
    """Forget the ticks that every cursor has passed, and old conflicts."""
    with self.transaction() as run:
        conflicts.prune(run.session)
        return ticks.prune(run.session)


@app.task(bind=True, base=LedgerTask)
def prune_feed(self: LedgerTask) -> int:
    """Forget what listeners of /events cannot ask for any more, heard or not."""
    with self.transaction() as run:
        return feed.prune(run.session, datetime.now(UTC) - timedelta(hours=settings().feed_hours))


@app.task(
    bind=True, base=LedgerTask, max_retries=1, soft_time_limit=_SOFT_LIMIT, time_limit=_HARD_LIMIT
)
def audit(self: LedgerTask) -> audits.AuditResult:
    """Compare the ledger with everything derived from it, and keep the result."""
    with self.transaction() as run:
        result = audits.verify(run.session)
        audits.record(run.session, result)
    return result


@app.task(bind=True, base=LedgerTask)
def prepare_months(self: LedgerTask) -> int:
    """Make the ledger's partitions of the coming months."""
    with self.transaction() as run:
        return partitions.ensure_ahead(run.session)
