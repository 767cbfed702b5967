"""What a scrape says about guards; all of it is read from Redis, in one round trip."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import Metric
from redis.exceptions import RedisError
from spendbeat_gateway.guard import keys

from worker import broker, guard, metrics

log = logging.getLogger(__name__)

# Visible as zero before anything happened; others appear when they happen.
DECISIONS = (
    "allowed",
    *(f"refused:{reason}" for reason in ("budget", "throttle", "rate", "unpriced", "cold")),
    *("refused:unreachable", "local:allowed", "expired", "late"),
)


class GuardCollector:
    """Decisions, open holds, and what the newest reconciliation noted."""

    def __init__(self, url: str) -> None:
        self._client = broker.client(url)

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        try:
            with self._client.pipeline(transaction=False) as pipe:
                pipe.hgetall(keys.COUNTS)
                pipe.zcard(keys.HOLDS)
                pipe.hgetall(guard.STATE)
                counts, holds, state = pipe.execute()
        except RedisError as error:
            log.warning("The Redis of guards did not answer a scrape: %s", type(error).__name__)
            return []
        return [
            _decisions({_text(name): int(count) for name, count in counts.items()}),
            metrics.GUARD_HOLDS.one(holds),
            *_noted({_text(name): float(value) for name, value in state.items()}),
        ]


def _decisions(counts: Mapping[str, int]) -> Metric:
    family = metrics.GUARD_DECISIONS.family()
    for decision, count in {**dict.fromkeys(DECISIONS, 0), **counts}.items():
        family.add_metric([decision], float(count))
    return family


def _noted(state: Mapping[str, float]) -> Iterator[Metric]:
    if "at" not in state:
        return
    yield metrics.GUARD_READING_AGE.one(max(0.0, time.time() - state["at"]))
    for name, figure in (
        ("readings", metrics.GUARD_READINGS),
        ("refused", metrics.GUARD_REFUSED),
        ("behind", metrics.GUARD_BEHIND),
        ("drift", metrics.GUARD_DRIFT),
        ("pending", metrics.GUARD_PENDING),
        ("oldest", metrics.GUARD_PENDING_AGE),
    ):
        yield figure.one(state.get(name, 0.0))


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
