"""A worker that outlives a restart of Redis.

Celery 5.7.0 exits instead when it holds an unacknowledged message and polls for another one at
that moment. The first close of its channel fails at the poll; the retry, with the message still
to be put back, comes only after the transport has forgotten its connection: AttributeError, which
nobody expects. tests/e2e/test_redis_restart.py says when this file can go.
"""

from celery.worker.consumer import Consumer


class GuardedConsumer(Consumer):
    """Celery's consumer, which closes its channel before the transport is taken from it."""

    class Blueprint(Consumer.Blueprint):
        """Celery's steps without gossip: nothing here listens to it, and it stumbles over a
        lost connection with a page of traceback.
        """

        default_steps = [  # noqa: RUF012 - Celery's own spelling
            step for step in Consumer.Blueprint.default_steps if "gossip" not in step
        ]

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        channel = getattr(self.task_consumer, "channel", None)
        if channel is not None:
            self._close(channel)  # ends the poll
            self._close(channel)  # puts the messages back, if it can, and closes
        super().on_connection_error_after_connected(exc)

    def _close(self, channel: object) -> None:
        try:
            channel.close()  # type: ignore[attr-defined]  # kombu has no types
        except self.connection_errors + self.channel_errors:
            pass
