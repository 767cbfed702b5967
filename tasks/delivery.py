import random
from typing import TYPE_CHECKING

from celery.exceptions import SoftTimeLimitExceeded
from sqlalchemy import text

from spend.delivery import outbox
from spend.delivery.outcome import Message, Outcome
from worker.base import LedgerTask
from worker.celery import app
from worker.settings import settings

if TYPE_CHECKING:
    from spend.delivery.channels import Channel
    from spend.delivery.dispatch import Dispatched

RING_SECONDS = outbox.RING_AGAIN_SECONDS
# A sender has limits of its own, all there are where tasks are threads; this is for what they do
# not reach.
_SOFT_LIMIT = 60
_HARD_LIMIT = 90
# Whoever looks into what was given up has so long to send it again.
_DEAD_DAYS = 90
# A lane is held by a transaction that waits for an answer. A killed process frees it at once; one
# whose machine or network is gone does after this.
_BOUND = text("SET LOCAL idle_in_transaction_session_timeout = '120s'")


@app.task(bind=True, base=LedgerTask, max_retries=0)  # the next interval is the retry
def ring(self: LedgerTask) -> int:
    """Tell workers of the messages that are due. To be sent after whatever has put one, too."""
    with self.transaction() as run:
        lanes = outbox.ring(run.session)
        for lane in lanes:
            run.send(deliver, lane=lane, expires=RING_SECONDS)
    return len(lanes)


@app.task(
    bind=True,
    base=LedgerTask,
    max_retries=0,  # the outbox knows when the next attempt is due
    soft_time_limit=_SOFT_LIMIT,
    time_limit=_HARD_LIMIT,
)
def deliver(self: LedgerTask, lane: str) -> "Dispatched":
    """Send the first message of a lane, and ring for another one of its channel."""
    # What signs and encrypts is only for workers that send.
    from spend.delivery import dispatch  # noqa: PLC0415 - see above

    with self.transaction() as run:
        run.session.execute(_BOUND)
        result = dispatch.deliver(run.session, lane, _send, random.random())  # noqa: S311 - spreads load
        for waiting in result.lanes:
            run.send(deliver, lane=waiting, expires=RING_SECONDS)
    return result


@app.task(bind=True, base=LedgerTask)
def tidy(self: LedgerTask) -> int:
    """Disable channels that took nothing for days; forget what is old enough."""
    from spend.delivery import notices  # noqa: PLC0415 - as in deliver

    with self.transaction() as run:
        outbox.repair(run.session)
        notices.disable_failing(run.session)
        return outbox.prune(run.session, days=settings().delivery_days, dead_days=_DEAD_DAYS)


def _send(channel: "Channel", message: Message) -> Outcome:
    from worker import sending  # noqa: PLC0415 - as in deliver

    try:
        return sending.send(channel, message)
    except SoftTimeLimitExceeded:
        return Outcome("retry", "timeout", seconds=float(_SOFT_LIMIT))
