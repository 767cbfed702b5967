from spend import rollups
from tasks import budgets
from worker.base import LedgerTask
from worker.celery import app
from worker.settings import settings

# A message that waited longer than this is worth nothing: each tick rings again for a shard that
# lags.
RING_SECONDS = 60.0


@app.task(bind=True, base=LedgerTask)
def roll_up(self: LedgerTask, provider: str) -> rollups.RollupResult:
    """Count one batch of a shard's news, ring for the budgets that it moved, and for more.

    One batch a message: shards take turns, and no time limit can stop a long backlog.
    """
    with self.transaction() as run:
        result = rollups.advance(run.session, provider, batch_rows=settings().batch_rows)
        if result.rows:
            run.ring()
        if result.budgets:
            run.send(budgets.check, provider=provider, expires=budgets.RING_SECONDS)
        if result.more:
            run.send(roll_up, provider=provider, expires=RING_SECONDS)
    return result
