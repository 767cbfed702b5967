from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tasks import delivery
from worker.base import LedgerTask, Run, log
from worker.celery import app

if TYPE_CHECKING:
    from spend.alerts.checks import Checked

# A message that waited longer than this is worth nothing: each interval rings again.
RING_SECONDS = 60.0


@app.task(bind=True, base=LedgerTask, max_retries=0)  # the next interval is the retry
def look(self: LedgerTask) -> int:
    """Ring for the shards that moved budgets since their last check, and for what time brought."""
    from spend.alerts import checks  # noqa: PLC0415 - what judges is only for workers that do

    with self.transaction() as run:
        shards = checks.shards(run.session)
        for provider in shards:
            run.send(check, provider=provider, expires=RING_SECONDS)
        if checks.waiting(run.session, datetime.now(UTC)):
            run.send(check_due, expires=RING_SECONDS)
    return len(shards)


@app.task(bind=True, base=LedgerTask)
def check(self: LedgerTask, provider: str) -> "Checked":
    """Look at the budgets that a shard moved; raise, resolve and tell."""
    from spend.alerts import checks  # noqa: PLC0415 - as in look

    with self.transaction() as run:
        result = checks.check(run.session, provider, datetime.now(UTC))
        if result.more:
            run.send(check, provider=provider, expires=RING_SECONDS)
        _tell(run, result)
    _look_again(self, result)
    return result


@app.task(bind=True, base=LedgerTask)
def check_due(self: LedgerTask) -> "Checked":
    """Look at budgets that changed or whose time has come; escalate, and end snoozes."""
    from spend.alerts import checks  # noqa: PLC0415 - as in look

    with self.transaction() as run:
        result = checks.check_due(run.session, datetime.now(UTC))
        if result.more:
            run.send(check_due, expires=RING_SECONDS)
        _tell(run, result)
    _look_again(self, result)
    return result


@app.task(bind=True, base=LedgerTask)
def review(self: LedgerTask) -> "Checked":
    """Look at all budgets whose spend is outside the range of their verdict: the net below."""
    from spend.alerts import checks  # noqa: PLC0415 - as in look

    with self.transaction() as run:
        result = checks.review(run.session, datetime.now(UTC))
        if result.more:
            run.send(review, expires=RING_SECONDS)
        _tell(run, result)
    return result


def _look_again(task: LedgerTask, result: "Checked") -> None:
    from spend.alerts import checks  # noqa: PLC0415 - as in look

    if result.looked:
        with task.transaction() as run:
            _tell(run, checks.review(run.session, datetime.now(UTC), result.looked))


def _tell(run: Run, result: "Checked") -> None:
    for failed in result.judged.failed:
        log.error("budget %s: it could not be judged, and is tried again later", failed)
    run.ring()
    if result.told:
        run.send(delivery.ring, expires=RING_SECONDS)
