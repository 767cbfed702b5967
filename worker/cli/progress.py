"""A progress bar with rows per second, on standard error and only for people."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class Counted(Protocol):
    """What a long job tells about itself."""

    @property
    def read(self) -> int: ...

    @property
    def seconds(self) -> float: ...


@contextmanager
def progress(
    title: str, total: int | None, position: Callable[[], int]
) -> Iterator[Callable[[Counted], None]]:
    """A bar, `position` of `total` full; call what it yields with the job's figures."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rows]:>12,} rows {task.fields[rate]:>9,.0f} rows/s"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    ) as bar:
        task = bar.add_task(title, total=total, rows=0, rate=0.0)

        def show(job: Counted) -> None:
            rate = job.read / job.seconds if job.seconds else 0.0
            bar.update(task, completed=position(), rows=job.read, rate=rate)

        yield show
