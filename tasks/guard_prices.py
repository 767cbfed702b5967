from worker import guard, guard_prices
from worker.base import LedgerTask
from worker.celery import app


@app.task(bind=True, base=LedgerTask, max_retries=0)  # the next interval is the retry
def publish(self: LedgerTask) -> int:
    """Bring the prices that guards use up to date."""
    with self.transaction() as run:
        return guard_prices.publish(guard.client(), run.session)
