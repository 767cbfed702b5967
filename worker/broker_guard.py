"""A worker that outlives a restart of Redis.

Celery 5.7.0 exits instead when it holds an unacknowledged message and polls for another one at
that moment. The first close of its channel fails at the poll; the retry, with the message still
to be put back, comes only after the transport has forgotten its connection: AttributeError, which
nobody expects. tests/e2e/test_redis_restart.py says when this file can go.
"""

from contextlib import suppress
from typing import Any

from celery.worker.consumer import Consumer


class GuardedConsumer(Consumer):
    """Celery's consumer, which closes its channel before the transport is taken from it."""

    # Celery's stubs know neither these nor the blueprint.
    task_consumer: Any
    connection_errors: tuple[type[Exception], ...]
    channel_errors: tuple[type[Exception], ...]

    class Blueprint(Consumer.Blueprint):  # type: ignore[misc, valid-type]
        """Celery's steps without gossip: nothing here listens to it, and it stumbles over a
        lost connection with a page of traceback.
        """

        default_steps = [  # noqa: RUF012 - Celery's own spelling
            step for step in Consumer.Blueprint.default_steps if "gossip" not in step
        ]

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        channel = getattr(self.task_consumer, "channel", None)
        if channel is not None:
            for _ in range(2):  # the first ends the poll, the second closes
                with suppress(*self.connection_errors, *self.channel_errors):
                    channel.close()
        super().on_connection_error_after_connected(exc)
