"""A stream as the provider's library made it, that tells a Call what passes and when it ends.

Everything else that the library's stream offers is still there.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from typing import Self


class Follower(Protocol):
    """What is needed of a Call."""

    see: Callable[[object], None]

    def end(self, *, failed: bool = False, collected: bool = False) -> None: ...


class _Wrapper:
    def __init__(self, call: Follower, stream: Any) -> None:  # noqa: ANN401 - any library's
        self._spendbeat_call = call
        self._spendbeat_stream = stream
        self._spendbeat_see = call.see

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any library's
        if name.startswith("_spendbeat_"):  # not set yet: __init__ failed
            raise AttributeError(name)
        return getattr(self._spendbeat_stream, name)

    def __del__(self) -> None:
        """Nobody will read on. What the provider said so far is all that there is."""
        call = self.__dict__.get("_spendbeat_call")
        if call is not None:
            call.end(collected=True)


class Stream(_Wrapper):
    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:  # noqa: ANN401 - any library's
        try:
            chunk = next(self._spendbeat_stream)
        except StopIteration:
            self._spendbeat_call.end()
            raise
        except BaseException:
            self._spendbeat_call.end(failed=True)
            raise
        self._spendbeat_see(chunk)
        return chunk

    def __enter__(self) -> "Self":
        enter = getattr(self._spendbeat_stream, "__enter__", None)
        if enter is not None:
            enter()
        return self

    def __exit__(self, *error: object) -> Any:  # noqa: ANN401 - any library's
        leave = getattr(self._spendbeat_stream, "__exit__", None)
        try:
            return leave(*error) if leave is not None else None
        finally:
            self._spendbeat_call.end(failed=error[0] is not None)

    def close(self) -> None:
        """Stop reading."""
        try:
            close = getattr(self._spendbeat_stream, "close", None)
            if close is not None:
                close()
        finally:
            self._spendbeat_call.end()


class AsyncStream(_Wrapper):
    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:  # noqa: ANN401 - any library's
        try:
            chunk = await self._spendbeat_stream.__anext__()
        except StopAsyncIteration:
            self._spendbeat_call.end()
            raise
        except BaseException:
            self._spendbeat_call.end(failed=True)
            raise
        self._spendbeat_see(chunk)
        return chunk

    async def __aenter__(self) -> "Self":
        enter = getattr(self._spendbeat_stream, "__aenter__", None)
        if enter is not None:
            await enter()
        return self

    async def __aexit__(self, *error: object) -> Any:  # noqa: ANN401 - any library's
        leave = getattr(self._spendbeat_stream, "__aexit__", None)
        try:
            return await leave(*error) if leave is not None else None
        finally:
            self._spendbeat_call.end(failed=error[0] is not None)

    async def close(self) -> None:
        """Stop reading."""
        try:
            close = getattr(self._spendbeat_stream, "close", None) or getattr(
                self._spendbeat_stream, "aclose", None
            )
            if close is not None:
                await close()
        finally:
            self._spendbeat_call.end()

    aclose = close
