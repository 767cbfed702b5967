"""Recorder: takes calls, keeps them in the spool, has them shipped."""

import atexit
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from spendbeat_gateway import adoption, event, faults, forks
from spendbeat_gateway.answers import Sender
from spendbeat_gateway.faults import guarded
from spendbeat_gateway.outbox import Outbox
from spendbeat_gateway.seen import Seen
from spendbeat_gateway.settings import Settings, from_environment
from spendbeat_gateway.shipper import Shipper, spool_name
from spendbeat_gateway.spool import Spool
from spendbeat_gateway.stats import Stats, collect
from spendbeat_gateway.tracking import Call, tracked

if TYPE_CHECKING:
    from decimal import Decimal

    from spendbeat_gateway.guard import Estimate, Guard
    from spendbeat_gateway.guarding import Kept

_AT_EXIT = 2.0  # seconds
_F = TypeVar("_F", bound=Callable[..., object])


class Recorder:
    """Records LLM calls. No method raises because of a network, a disk or what it was given.

    url and token, or database_url, say where events go; spool is the folder that keeps them until
    they are there, spool_mb its bound. What is not given comes from the environment
    (SPENDBEAT_GATEWAY_*). defaults are fields of every event, such as {"project": "search"}.
    """

    def __init__(
        self,
        *,
        url: str | None = None,
        token: str | None = None,
        database_url: str | None = None,
        spool: str | os.PathLike[str] | None = None,
        spool_mb: float | None = None,
        defaults: Mapping[str, object] | None = None,
    ) -> None:
        found = from_environment()
        elsewhere = url is not None or database_url is not None
        self.settings = Settings(
            url=url if elsewhere else found.url,
            token=token if token is not None else found.token,
            database_url=database_url if elsewhere else found.database_url,
            spool=Path(spool).expanduser() if spool is not None else found.spool,
            spool_mb=spool_mb if spool_mb is not None else found.spool_mb,
            defaults={**found.defaults, **(defaults or {})},
        )
        for problem in found.problems:
            faults.say_once(problem)
        self._pid = os.getpid()
        self._set_up(self.settings.spool.absolute())
        forks.watch(self)
        atexit.register(self.close)

    @guarded(None)
    def record(self, response: object = None, **fields: object) -> str | None:
        """Record one call that has ended; its id, or None where it could not be recorded.

        response: what the provider answered, or a mapping like it: its id, model, service tier and
        usage are taken. fields: anything that /ingest takes, and `usage` for a usage object alone;
        they win over the response. status="failure" records a call that failed.
        """
        seen = Seen()
        if response is not None:
            seen.see(response)
        usage = fields.pop("usage", None)
        if usage is not None:
            seen.see({"usage": usage})
        return self.keep(seen, fields)

    @guarded(False)
    def put(self, route: str, body: Mapping[str, object] | str) -> bool:
        """Keep a body (a mapping, or JSON text) for a route: "gateway" or "litellm".

        True once it is on disk; False where it was dropped, which is counted.
        """
        if self._pid != os.getpid():
            self._after_silent_fork()
        kept = self._spool.add(route, body if isinstance(body, str) else event.text(body))
        if not self._shipper.running:
            self._shipper.start()
            _at_end_of_child(self.close)
        return kept

    def call(
        self,
        *,
        guard: "Guard | None" = None,
        request: object = None,
        estimate: "Estimate | Decimal | None" = None,
        **fields: object,
    ) -> Call:
        """A context manager around one call, sync or async; see Call.

        guard: is asked first, for what `request` (the provider's: its messages, or all of it) can
        cost, or an `estimate`; what it held is settled with the end of the call.
        """
        return Call(self, fields, self._kept(guard, request, estimate))

    def track(
        self,
        *,
        guard: "Guard | None" = None,
        estimate: "Estimate | Decimal | None" = None,
        **fields: object,
    ) -> Callable[[_F], _F]:
        """A decorator for functions that make one call and return what the provider answers.

        Sync and async functions, generators and async generators; a stream that they return is
        followed to its end. guard: as in call(), the keyword arguments being the request.
        """

        def keep(request: object) -> "Kept | None":
            return self._kept(guard, request, estimate)

        return lambda function: tracked(self, function, fields, keep)

    def _kept(
        self, guard: "Guard | None", request: object, estimate: "Estimate | Decimal | None"
    ) -> "Kept | None":
        if guard is None:
            return None
        from spendbeat_gateway.guarding import Kept  # noqa: PLC0415 - few need it

        return Kept(guard, request, estimate, self.settings.defaults)

    @guarded(None)
    def keep(self, seen: Seen, fields: Mapping[str, object]) -> str | None:
        """Record what was seen of a call; its id, or None."""
        made = event.build(seen, fields, self.settings.defaults)
        if not event.measured(made):
            self._spool.count("unmeasured")
            faults.say_once(
                "An LLM call said nothing about its usage and is recorded as unpriced. For streams"
                " of OpenAI's chat completions ask for it: stream_options={'include_usage': True}"
            )
        return str(made["id"]) if self.put("gateway", made) else None

    def later(self, seen: Seen, fields: Mapping[str, object]) -> None:
        """keep(), from where no lock may be waited for: the collector of garbage."""
        self._shipper.later.put((seen, fields))
        self._shipper.start()

    @guarded(False)
    def flush(self, timeout: float = 10.0) -> bool:
        """Ship what is in the spool; whether all of it has arrived within `timeout` seconds."""
        return self._shipper.flush(timeout)

    def stats(self) -> Stats:
        """Figures of the spool: waiting, dropped, rejected, the last error."""
        return collect(self.settings, self._outbox, self._spool, self._shipper)

    @guarded(None)
    def close(self, timeout: float = _AT_EXIT) -> None:
        """Ship what goes within `timeout` seconds and stop; the rest stays in the spool.

        Called at the end of the process. Calls recorded after it are kept, and not shipped.
        """
        atexit.unregister(self.close)
        self._shipper.stop(timeout)
        self._outbox.close()
        self._spool.close()

    def before_fork(self) -> None:
        """Nothing of this object itself; its parts look after theirs."""

    def after_fork(self, *, child: bool) -> None:
        if child:
            self._pid = os.getpid()
            self._shipper.after_fork_in_child()

    def _set_up(self, folder: Path) -> None:
        limit = self.settings.limit
        self._spool = Spool(folder, limit)
        self._outbox = Outbox(folder, limit)
        name = spool_name(folder)
        self._shipper = Shipper(self._spool, self._outbox, _sender(self.settings), name, self.keep)

    def _after_silent_fork(self) -> None:
        """After a fork by C code (uWSGI), which called no hook before it.

        The file that the parent had open cannot be used here (see forks.py); this process gets a
        spool of its own beside it, which the parent's shipper adopts when this process is gone.
        """
        _ABANDONED.append((self._spool, self._outbox, self._shipper))
        used = self._spool.open or self._outbox.open
        folder = self.settings.spool.absolute()
        self._set_up(folder / adoption.name() if used else folder)
        self._pid = os.getpid()


_ABANDONED: list[object] = []  # never closed: closing would touch the parent's files


def _sender(settings: Settings) -> Sender | None:
    if settings.url:
        from spendbeat_gateway.web import Web  # noqa: PLC0415 - each way loads its own library

        return Web(settings.url, settings.token)
    if settings.database_url:
        from spendbeat_gateway.postgres import Postgres  # noqa: PLC0415 - see above

        return Postgres(settings.database_url)
    faults.say_once(
        "Neither SPENDBEAT_GATEWAY_URL nor SPENDBEAT_GATEWAY_DATABASE_URL is set: LLM calls stay in"
        f" the spool {settings.spool}"
    )
    return None


def _at_end_of_child(close: Callable[[], object]) -> None:
    """Children of multiprocessing forget what was registered to run at the end."""
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        from multiprocessing.util import Finalize  # noqa: PLC0415 - only where it is in use

        Finalize(None, close, exitpriority=0)


_default: list[Recorder] = []


def default_recorder() -> Recorder:
    """The recorder that the environment describes, made when it is first asked for."""
    if not _default:
        # Without a lock, which a fork could leave locked; of two threads here the first counts.
        _default.append(Recorder())
    return _default[0]
