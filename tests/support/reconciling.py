"""Guards, Redis and the ledger together: calls that reserve, settle and are recorded."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from redis import Redis
from spendbeat_gateway.guard import Guard, Hold, publishing
from spendbeat_gateway.guard.publishing import Counter

from spend.budgets.definition import Budget
from spend.capture.desk import Desk
from spend.enforcement.rules import rules
from tests.support import budgets
from worker import guard
from worker.database import engine, transaction
from worker.guard import Reconciled, Taken

MODEL = "a-model"


def now() -> datetime:
    return datetime.now(UTC)


def blocked(name: str, limit: object = 100, /, **said: Any) -> Budget:
    return budgets.add(name, hard_limit=limit, enforce="block", **said)


def reconcile(redis: Redis) -> Reconciled:
    with transaction() as session:
        return guard.reconcile(session, redis, now())


def take(redis: Redis) -> Taken:
    """A reading of a reconciler that gets no further for now."""
    epoch = publishing.epoch(redis)
    with transaction() as session:
        taken = guard.take(session, redis, now(), epoch)
    assert taken is not None
    return taken


def serve(redis: Redis) -> Reconciled | None:
    with transaction() as session:
        return guard.serve(session, redis, now())


def reload(redis: Redis, *, forget: bool = False) -> Reconciled:
    with transaction() as session:
        return guard.reload(session, redis, now(), forget=forget)


def name_of(budget: str) -> tuple[str, str]:
    """The counter of a budget's current period."""
    with transaction("spendbeat_reader") as session:
        known = rules(session, now())
    return min(name for name in known.due if known.counters[name].budget == budget)


def counter(redis: Redis, budget: str) -> Counter | None:
    """None: cold."""
    return publishing.counter(redis, *name_of(budget))


def used(redis: Redis, budget: str) -> Decimal:
    found = counter(redis, budget)
    assert found is not None
    return Decimal(found.used) / 10**9


def reserve(asker: Guard, dollars: object, project: str = "shop", **more: Any) -> Hold:
    said = {"provider": "openai", "model": MODEL, **more}
    answer = asker.reserve({"project": project}, Decimal(str(dollars)), **said)
    assert isinstance(answer, Hold), answer
    return answer


def record(
    hold: Hold,
    dollars: object,
    project: str = "shop",
    provider: str = "openai",
    desk: Desk | None = None,
) -> None:
    """What the recorder tells the service of a call; dollars None: nobody knows its price."""
    said = {} if dollars is None else {"cost_usd": str(dollars)}
    event = {
        "id": f"call-{hold.id}",
        "other_ids": [hold.id],
        "started_at": now().isoformat(),
        "provider": provider,
        "model": MODEL,
        "project": project,
        "input_tokens": 1,
        **said,
    }
    found = (desk or Desk(engine())).book([event], route="test")
    assert found.imported == 1
