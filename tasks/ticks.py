from spend import ticks
from tasks.rollups import roll_up
from worker.base import LedgerTask
from worker.celery import app

# A message that waited longer than this is worth nothing: each tick rings again for a shard that
# lags.
_RING_SECONDS = 60.0


@app.task(bind=True, base=LedgerTask, max_retries=0)  # the next tick is the retry
def take(self: LedgerTask) -> ticks.TickResult:
    """Store a tick and ring for the shards that have something to count."""
    with self.transaction() as run:
        result = ticks.take(run.session)
        for provider in result.shards:
            run.send(roll_up, provider=provider, expires=_RING_SECONDS)
    if result.span:
        with self.transaction() as run:
            ticks.summarize(run.session, result.span)
    return result
