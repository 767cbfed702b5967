from spend import settlement
from spend.pricing import disagreements
from spend.pricing.newest import Prices
from worker.base import LedgerTask
from worker.celery import app

RING_SECONDS = 60.0
# The price lists are read when a model with unpriced requests is looked up, and kept until they
# change.
_prices = Prices()


@app.task(bind=True, base=LedgerTask)
def settle(self: LedgerTask) -> settlement.SettleResult | None:
    """Settle unpriced requests of one model and month whose price is known by now.

    A transaction a page, then ring again: there may be more.
    """
    with self.transaction() as run:
        book = _prices.book(run.session)
        work = settlement.find(run.session, book)
    if work is None:
        return None
    total = settlement.SettleResult()
    while total.after is not None:
        with self.transaction() as run:
            total = total.then(settlement.settle(run.session, work, book, after=total.after))
    with self.transaction() as run:
        settlement.note(run.session, work)
        run.send(settle, expires=RING_SECONDS)
    return total


@app.task(bind=True, base=LedgerTask)
def prune(self: LedgerTask) -> int:
    """Forget what was tried and is settled, and fold disagreements of a day into one row."""
    with self.transaction() as run:
        return settlement.prune(run.session) + disagreements.fold(run.session)
