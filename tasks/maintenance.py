from spend import audit as audits
from spend import partitions, ticks
from worker.base import LedgerTask
from worker.celery import app

_LONG = {"soft_time_limit": 1700, "time_limit": 1800}


@app.task(bind=True)
def prune(self: LedgerTask) -> int:
    """Forget the ticks that every cursor has passed."""
    with self.transaction() as run:
        return ticks.prune(run.session)


@app.task(bind=True, max_retries=1, **_LONG)
def audit(self: LedgerTask) -> audits.AuditResult:
    """Compare the ledger with everything derived from it, and keep the result."""
    with self.transaction() as run:
        result = audits.verify(run.session)
        audits.record(run.session, result)
    return result


@app.task(bind=True)
def prepare_months(self: LedgerTask) -> int:
    """Make the ledger's partitions of the coming months."""
    with self.transaction() as run:
        return partitions.ensure_ahead(run.session)
