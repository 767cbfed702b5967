"""The real app, but a process dies between any two steps of what it does: `celery -A
tests.support.dying`. SPENDBEAT_DYING is the probability of it at each of them; a file that
SPENDBEAT_DEATHS names gets a line for each death, with the task and the step.
"""

import os
import random
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

from celery import current_task
from sqlalchemy import event
from sqlalchemy.orm import Session

from spend import cursors, rollups, ticks
from spend.alerts import checks, judging, messages, states
from spend.delivery import dispatch, notices, outbox
from worker import sending
from worker.base import Run
from worker.celery import app

__all__ = ["app"]

_PROBABILITY = float(os.environ["SPENDBEAT_DYING"])
_DEATHS = os.environ.get("SPENDBEAT_DEATHS")


def _perhaps(where: str, *_: object) -> None:
    # Not a seeded one: after a fork every child would die at the same step again.
    if random.SystemRandom().random() >= _PROBABILITY:
        return
    if _DEATHS:
        task = current_task.name if current_task else "none"
        file = os.open(_DEATHS, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, f"{task} {where}\n".encode())
    os.kill(os.getpid(), signal.SIGKILL)


def _deadly(owner: Any, name: str) -> None:
    step: Callable[..., Any] = getattr(owner, name)
    said = f"{owner.__name__.removeprefix('spend.')}.{name}"

    def around(*args: Any, **kwargs: Any) -> Any:
        _perhaps(f"before {said}")
        result = step(*args, **kwargs)
        _perhaps(f"after {said}")
        return result

    setattr(owner, name, around)


for _name in ("hold", "head", "record", "delivered", "later", "ring_one_more", "_settle"):
    _deadly(outbox, _name)
_deadly(notices, "heed")
_deadly(sending, "send")
_deadly(dispatch, "deliver")
_deadly(outbox, "ring")
_deadly(outbox, "put")
_deadly(ticks, "take")
for _name in ("take", "move"):
    _deadly(cursors, _name)
for _name in ("advance", "_apply"):
    _deadly(rollups, _name)
for _name in ("check", "check_due", "review", "shards"):
    _deadly(checks, _name)
for _name in ("judge", "_raise", "_keep"):
    _deadly(judging, _name)
_deadly(states, "begin")
_deadly(messages, "put")
_deadly(Run, "deliver")  # after the commit, around the messages that leave then
event.listen(Session, "before_commit", partial(_perhaps, "before the commit"))
event.listen(Session, "after_commit", partial(_perhaps, "after the commit"))
