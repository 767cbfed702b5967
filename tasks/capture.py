from functools import cache
from typing import TYPE_CHECKING

from spend import inbox
from worker import database
from worker.base import LedgerTask
from worker.celery import app

# A message that waited longer than this is worth nothing: each tick rings while events wait.
RING_SECONDS = 60.0


if TYPE_CHECKING:
    from spend.capture.desk import Desk


@cache
def desk() -> "Desk":
    # Its libraries take 40 MB, which a worker without an inbox does not need.
    from spend.capture.desk import Desk  # noqa: PLC0415 - see above

    return Desk(database.engine())


@app.task(bind=True, base=LedgerTask)
def drain(self: LedgerTask) -> inbox.DrainResult:
    """Book one batch of what gateways put into the inbox, and ring again if there is more."""
    with self.transaction() as run:
        result = inbox.drain(run.session, desk())
        if result.more:
            run.send(drain, expires=RING_SECONDS)
    return result
