"""The real app, but a process that delivers dies between any two steps: `celery -A
tests.support.dying`. SPENDBEAT_DYING is the probability of it at each of them.
"""

import os
import random
import signal
from collections.abc import Callable
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session

from spend.delivery import dispatch, notices, outbox
from worker import sending
from worker.celery import app

__all__ = ["app"]

_PROBABILITY = float(os.environ["SPENDBEAT_DYING"])


def _perhaps(*_: object) -> None:
    # Not a seeded one: after a fork every child would die at the same step again.
    if random.SystemRandom().random() < _PROBABILITY:
        os.kill(os.getpid(), signal.SIGKILL)


def _deadly(module: Any, name: str) -> None:
    step: Callable[..., Any] = getattr(module, name)

    def around(*args: Any, **kwargs: Any) -> Any:
        _perhaps()
        result = step(*args, **kwargs)
        _perhaps()
        return result

    setattr(module, name, around)


for _name in ("hold", "head", "record", "delivered", "later", "ring_one_more", "_settle"):
    _deadly(outbox, _name)
_deadly(notices, "heed")
_deadly(sending, "send")
_deadly(dispatch, "deliver")
event.listen(Session, "before_commit", _perhaps)
event.listen(Session, "after_commit", _perhaps)
