"""Following a call from its beginning to the end of its answer: context manager and decorator."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from spendbeat_gateway.faults import guarded
from spendbeat_gateway.seen import Seen
from spendbeat_gateway.streams import AsyncStream, Stream

if TYPE_CHECKING:
    from typing import Self

    from spendbeat_gateway.guarding import Kept

_F = TypeVar("_F", bound=Callable[..., object])


class Keeper(Protocol):
    """What is needed of a Recorder."""

    def keep(self, seen: Seen, fields: Mapping[str, object]) -> str | None: ...
    def later(self, seen: Seen, fields: Mapping[str, object]) -> None: ...


class Call:
    """One call to a provider, recorded once when its block ends.

        with recorder.call(provider="openai", model="gpt-4o") as call:
            call.see(client.chat.completions.create(...))

    Give see() the response, or each chunk of a stream. `async with` does the same. An exception in
    the block records a failure and goes on its way. With a guard, entering the block asks it, and
    raises RefusedError where a budget has no room.
    """

    def __init__(
        self, keeper: Keeper, fields: Mapping[str, object], kept: "Kept | None" = None
    ) -> None:
        self._keeper = keeper
        self._kept = kept
        self._fields = {"started_at": time.time(), **fields}
        self._seen = Seen()
        self.see: Callable[[object], None] = self._seen.see  # takes a response or a chunk
        self._open = True
        self.id: str | None = None  # of the recorded event, once the block has ended

    @guarded(None)
    def add(self, **fields: object) -> None:
        """Say more about the call: fields as for record(), and `usage`."""
        usage = fields.pop("usage", None)
        if usage is not None:
            self._seen.see({"usage": usage})
        self._fields.update(fields)

    @guarded(None)
    def end(self, *, failed: bool = False, collected: bool = False) -> None:
        """Record it, the first time that this is called.

        collected: by the collector of garbage, where nothing may wait for a lock.
        """
        if not self._open:
            return
        self._open = False
        if failed:
            self._fields.setdefault("status", "failure")
        fields = self._kept.named(self._seen, self._fields) if self._kept else self._fields
        if collected:
            self._keeper.later(self._seen, fields)
        else:
            self.id = self._keeper.keep(self._seen, fields)
        if self._kept:
            self._kept.end(self._seen, fields, failed=failed)

    def ask(self) -> None:
        """Ask the guard, if there is one. Raises RefusedError; then nothing is recorded."""
        if self._kept:
            try:
                self._kept.begin(self._fields)
            except BaseException:
                self._open = False
                raise

    async def ask_soon(self) -> None:
        """ask(), in a thread, since it waits for Redis."""
        if self._kept:
            await asyncio.to_thread(self.ask)

    def __enter__(self) -> "Self":
        self.ask()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end(failed=kind is not None)

    async def __aenter__(self) -> "Self":
        await self.ask_soon()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end(failed=kind is not None)


def tracked(
    keeper: Keeper,
    function: _F,
    fields: Mapping[str, object],
    keep: "Callable[[object], Kept | None] | None" = None,
) -> _F:
    """`function`, each call of it recorded; keep: from its arguments to what a guard is asked."""
    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def later(*args: Any, **kwargs: Any) -> object:
            call = _begin(keeper, fields, kwargs, keep)
            await call.ask_soon()
            return await _awaited(call, function(*args, **kwargs))

        return cast("_F", later)

    @wraps(function)
    def now(*args: Any, **kwargs: Any) -> object:
        call = _begin(keeper, fields, kwargs, keep)
        call.ask()
        try:
            result = function(*args, **kwargs)
        except BaseException:
            call.end(failed=True)
            raise
        if inspect.isawaitable(result):
            return _awaited(call, result)
        return _followed(call, result)

    return cast("_F", now)


async def _awaited(call: Call, result: Awaitable[object]) -> object:
    try:
        answer = await result
    except BaseException:
        call.end(failed=True)
        raise
    return _followed(call, answer)


def _begin(
    keeper: Keeper,
    fields: Mapping[str, object],
    kwargs: Mapping[str, object],
    keep: "Callable[[object], Kept | None] | None",
) -> Call:
    """The model that is asked for is the one recorded, also where the call fails."""
    model = kwargs.get("model")
    if "model" not in fields and isinstance(model, str):
        fields = {**fields, "model": model}
    return Call(keeper, fields, keep(kwargs) if keep else None)


def _followed(call: Call, result: object) -> object:
    """The result, with a stream made to report when it ends."""
    kind = type(result)
    if hasattr(kind, "__anext__"):
        return AsyncStream(call, result)
    if hasattr(kind, "__next__"):
        return Stream(call, result)
    call.see(result)
    call.end()
    return result
