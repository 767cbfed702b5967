from datetime import UTC, datetime

from worker import guard
from worker.base import LedgerTask
from worker.celery import app


@app.task(bind=True, base=LedgerTask, max_retries=0)  # the next interval is the retry
def reconcile(self: LedgerTask) -> guard.Reconciled:
    """Tell guards what is enforced, and how much of it Postgres says is spent."""
    with self.transaction() as run:
        return guard.reconcile(run.session, guard.client(), datetime.now(UTC))
