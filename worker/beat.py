"""Beat without the tasks."""

from celery.apps.beat import Beat


class LightBeat(Beat):
    """Celery's beat, which sends names: it needs no task, nor the memory of what tasks import."""

    def init_loader(self) -> None:
        if self.app is not None:
            self.app.finalize()
