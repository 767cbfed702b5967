from spend import audit as audits
from spend import conflicts, partitions, ticks
from worker.base import LedgerTask
from worker.celery import app

# An audit reads the whole ledger. Below the visibility timeout in celeryconfig.
_SOFT_LIMIT = 1700
_HARD_LIMIT = 1800


@app.task(bind=True, base=LedgerTask)
def prune(self: LedgerTask) -> int:
    """Forget the ticks that every cursor has passed, and old conflicts."""
    with self.transaction() as run:
        conflicts.prune(run.session)
        return ticks.prune(run.session)


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
