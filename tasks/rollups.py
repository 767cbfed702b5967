from dataclasses import replace
from time import monotonic

from spend import rollups
from worker.base import LedgerTask
from worker.celery import app
from worker.settings import settings

# After this the others get their turn; the next tick rings again for what is left. Well below
# the time limit, which must never stop a shard from getting anywhere.
_TURN_SECONDS = 60.0


@app.task(bind=True, base=LedgerTask)
def roll_up(self: LedgerTask, provider: str) -> rollups.RollupResult:
    """Count a shard's news, one transaction per batch, until it is current."""
    until = monotonic() + _TURN_SECONDS
    total = None
    while True:
        with self.transaction() as run:
            result = rollups.advance(run.session, provider, batch_rows=settings().batch_rows)
        total = result if total is None else _add(total, result)
        if not result.more or monotonic() > until:
            return total


def _add(total: rollups.RollupResult, last: rollups.RollupResult) -> rollups.RollupResult:
    return replace(
        last,
        outcome=total.outcome,
        rows=total.rows + last.rows,
        buckets=total.buckets + last.buckets,
        seconds=total.seconds + last.seconds,
    )
