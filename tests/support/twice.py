"""The real app, but each message is sent twice, under one task id: `celery -A tests.support.twice`.

The guarantee of a broker is at least once, so this is what it may do at any time.
"""

from typing import Any

from celery.signals import after_task_publish

from worker.celery import app

__all__ = ["app"]

_sending_again = False


@after_task_publish.connect
def _again(headers: dict[str, Any], body: tuple[Any, ...], routing_key: str, **_: Any) -> None:
    global _sending_again  # noqa: PLW0603 - a signal has no other memory
    if _sending_again:
        return
    args, kwargs, _embedded = body
    _sending_again = True
    try:
        app.send_task(headers["task"], args, kwargs, task_id=headers["id"], queue=routing_key)
    finally:
        _sending_again = False
