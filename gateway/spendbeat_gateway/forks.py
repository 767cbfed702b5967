"""What a fork must not carry over: SQLite connections, locks of other threads, the election.

A SQLite connection that crosses a fork is worse than useless. The child's copy of SQLite believes
in locks that only the parent holds, and the last real holder to go deletes the log that the child
still writes to. So connections are closed before the fork and opened again when needed.
"""

import os
from typing import Protocol
from weakref import WeakSet

from spendbeat_gateway import faults


class Forkable(Protocol):
    def before_fork(self) -> None: ...
    def after_fork(self, *, child: bool) -> None: ...


_known: WeakSet[Forkable] = WeakSet()
_forking: list[Forkable] = []


def watch(thing: Forkable) -> None:
    _known.add(thing)


def _before() -> None:
    _forking[:] = list(_known)
    for thing in _forking:
        thing.before_fork()


def _after(*, child: bool) -> None:
    for thing in reversed(_forking):
        thing.after_fork(child=child)
    _forking.clear()


def _in_child() -> None:
    faults.forget_locks()
    # A fork made by C code skips the first hook, so nothing was closed; each owner of a connection
    # compares process ids as well.
    _after(child=True)


os.register_at_fork(
    before=_before,
    after_in_parent=lambda: _after(child=False),
    after_in_child=_in_child,
)
