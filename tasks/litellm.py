from datetime import timedelta
from typing import TYPE_CHECKING

from tasks.capture import desk
from worker import database
from worker.base import LedgerTask
from worker.celery import app
from worker.settings import settings

if TYPE_CHECKING:
    from spend.litellm.sync import SyncResult

# A run is bounded well below the time limit; what is left is the next one's.
_SECONDS = 90.0
_SWEEP_ROWS = 50_000
# Each reading of a sum that grew is a correction in the ledger.
_DAILY_EVERY = timedelta(minutes=10)
RING_SECONDS = 60.0


@app.task(bind=True, base=LedgerTask, max_retries=0)  # the next interval is the retry
def sync(self: LedgerTask) -> "SyncResult | None":
    """Read on in LiteLLM's database, and ring again if there is more."""
    # A worker that reads no such database does not need what this imports.
    from spend.litellm.source import Source  # noqa: PLC0415 - see above
    from spend.litellm.sync import Options, sync  # noqa: PLC0415 - see above

    chosen = settings()
    if chosen.litellm_database_url is None:
        return None
    source = Source(chosen.litellm_database_url)
    options = Options(
        overlap=timedelta(hours=chosen.litellm_overlap_hours),
        seconds=_SECONDS,
        sweep_rows=_SWEEP_ROWS,
        wait=False,
        daily=chosen.litellm_daily,
        daily_every=_DAILY_EVERY,
    )
    try:
        result = sync(database.engine(), desk(), source, options)
    finally:
        source.close()
    if result.more:
        self.apply_async(expires=RING_SECONDS)
    return result
