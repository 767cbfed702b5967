# ruff: noqa: ARG002 - LiteLLM calls the hooks by keyword, so all parameters have to be there
"""The class of the callback: every attempt that LiteLLM tells of, into the spool.

Nothing here raises: LiteLLM would only log it, and the call would be missing.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from litellm.integrations.custom_logger import CustomLogger

from spendbeat_gateway import event, litellm_payload
from spendbeat_gateway.faults import guarded, say_once
from spendbeat_gateway.recording import Recorder, default_recorder

Details = Mapping[str, Any]

_LONGEST = 3600.0  # seconds; a call that is still open then has been left alone
_MOST_OPEN = 20_000


@dataclass(frozen=True)
class Calls:
    """Calls of this process. open: begun and not ended yet; unfinished: left open for an hour.

    A stream that nobody reads to its end ends without a word from LiteLLM, so what it cost is
    known to the provider alone. Answers from a cache are never begun.
    """

    begun: int
    ended: int
    open: int
    unfinished: int


class Callback(CustomLogger):  # type: ignore[misc] # LiteLLM is not there when types are checked
    """All four hooks on one way. LiteLLM calls them by keyword, so the names are its own.

    The hooks for streams are left out: a stream fires one success event at its end, and those once
    per chunk.
    """

    def __init__(self, recorder: Recorder | None = None) -> None:
        super().__init__()
        self._recorder = recorder
        self._begun = self._ended = self._unfinished = 0
        self._open: dict[str, float] = {}

    def log_success_event(
        self, kwargs: Details, response_obj: object, start_time: object, end_time: object
    ) -> None:
        self._keep(kwargs, response_obj, start_time)

    def log_failure_event(
        self, kwargs: Details, response_obj: object, start_time: object, end_time: object
    ) -> None:
        self._keep(kwargs, response_obj, start_time, failed=True)

    async def async_log_success_event(
        self, kwargs: Details, response_obj: object, start_time: object, end_time: object
    ) -> None:
        self._keep(kwargs, response_obj, start_time)

    async def async_log_failure_event(
        self, kwargs: Details, response_obj: object, start_time: object, end_time: object
    ) -> None:
        self._keep(kwargs, response_obj, start_time, failed=True)

    @guarded(None)
    def log_pre_api_call(self, model: object, messages: object, kwargs: Details) -> None:
        now = time.monotonic()
        self._begun += 1
        self._open[kwargs["litellm_call_id"]] = now
        self._let_go(now)

    def calls(self) -> Calls:
        """How many calls began and ended in this process."""
        self._let_go(time.monotonic())
        return Calls(self._begun, self._ended, len(self._open), self._unfinished)

    @guarded(None)
    def _keep(
        self, kwargs: Details, response: object, started: object, *, failed: bool = False
    ) -> None:
        if self._open.pop(kwargs.get("litellm_call_id", ""), None) is not None:
            self._ended += 1
        payload = kwargs.get("standard_logging_object")
        if not isinstance(payload, Mapping):
            payload = litellm_payload.bare(kwargs, response, started, failed=failed)
        body = event.text(litellm_payload.trimmed(payload, kwargs))
        recorder = self._recorder or default_recorder()
        recorder.put("litellm", litellm_payload.without_keys(body))

    def _let_go(self, now: float) -> None:
        """Calls that are open for too long, oldest first, which is the order of the mapping."""
        while self._open:
            oldest = next(iter(self._open), None)
            if oldest is None or (
                now - self._open.get(oldest, now) < _LONGEST and len(self._open) <= _MOST_OPEN
            ):
                return
            if self._open.pop(oldest, None) is not None:
                self._unfinished += 1
                say_once(
                    "An LLM call began and LiteLLM never said how it ended, as for a stream that"
                    " is not read to its end: what it cost is not recorded"
                )
