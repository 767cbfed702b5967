from spend import inbox, ticks
from tasks import capture
from tasks.rollups import RING_SECONDS, roll_up
from worker.base import LedgerTask
from worker.celery import app


@app.task(bind=True, base=LedgerTask, max_retries=0)  # the next tick is the retry
def take(self: LedgerTask) -> ticks.TickResult:
    """Store a tick; ring for the shards that have something to count, and for a filled inbox."""
    with self.transaction() as run:
        result = ticks.take(run.session)
    with self.transaction() as run:
        # First, so that a large batch can be cut without reading all of it each time.
        if result.span:
            ticks.summarize(run.session, result.span)
        for provider in result.shards:
            note = f"up to tick {result.tick_id}"
            run.send(roll_up, provider=provider, expires=RING_SECONDS, note=note)
        if inbox.waiting(run.session):
            run.send(capture.drain, expires=capture.RING_SECONDS)
    return result
