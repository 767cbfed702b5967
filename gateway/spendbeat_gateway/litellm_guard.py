# ruff: noqa: ARG002 - LiteLLM calls the hooks by keyword, so all parameters have to be there
"""The callback for LiteLLM that also asks the guard, before each attempt, whether it may be made.

SPENDBEAT_GATEWAY_GUARD=1 makes spendbeat_gateway.litellm.callback one of these; needs LiteLLM 1.72.
LiteLLM asks asynchronous calls only, which are all of a proxy's and `acompletion` and the like.

Each attempt has a hold of its own, made when its deployment is known: a retry or a fallback to
another model is asked for by itself. The hold travels in LiteLLM's details of the call, so that
whatever LiteLLM tells of the attempt ends it. Where LiteLLM tells nothing (a client that went
away, a stream that nobody reads on), it ends with its task, or with the details themselves.
"""

import asyncio
import logging
import os
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from weakref import WeakMethod

from spendbeat_gateway import litellm_attribution, litellm_call, litellm_payload
from spendbeat_gateway.faults import guarded, note, say_once
from spendbeat_gateway.guard import AsyncGuard, Guard, Hold, Refusal
from spendbeat_gateway.guard.endings import Endings
from spendbeat_gateway.litellm_callback import Callback, Details
from spendbeat_gateway.litellm_refusal import BudgetRefusedError
from spendbeat_gateway.recording import Recorder
from spendbeat_gateway.settings import PREFIX

# What costs by the call. Batches cost when they end, looking things up costs nothing.
_PAID = frozenset(
    (
        *("completion", "text_completion", "embedding", "responses", "anthropic_messages"),
        *("generate_content", "generate_content_stream", "image_generation", "image_edit"),
        *("transcription", "speech", "rerank", "ocr", "search", "create_video", "moderation"),
    )
)
_MOST_PLACES = 10_000


class Held:
    """A hold of one attempt; ended once, by whoever comes first, at the latest by its collector."""

    def __init__(self, hold: Hold, endings: Endings) -> None:
        self.id = hold.id
        self.hold = hold
        self._endings = endings
        self._open = self._unsettled = True
        self._task: asyncio.Task[Any] | None = None
        self._watch: Any = None

    def follow(self, task: "asyncio.Task[Any] | None") -> None:
        """Release it where this task is cancelled."""
        if task is not None:
            method = WeakMethod(self._task_ended)

            def ended(done: "asyncio.Task[Any]") -> None:
                if (found := method()) is not None:
                    found(done)

            self._task, self._watch = task, ended
            task.add_done_callback(ended)

    def settle(self, actual: Decimal | None) -> None:
        """Also after a release: then LiteLLM has found out what a broken call cost."""
        if self._unsettled:
            self._open = self._unsettled = False
            self._endings.settle(self.hold, actual)

    def release(self) -> None:
        if self._open:
            self._open = False
            self._endings.release(self.hold)

    def leave(self) -> Hold:
        """The hold, for whoever ends it instead."""
        self.unfollow()
        self._open = self._unsettled = False
        return self.hold

    def unfollow(self) -> None:
        """Forget the task, from its own thread."""
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.remove_done_callback(self._watch)

    def _task_ended(self, task: "asyncio.Task[Any]") -> None:
        self._task = None
        if task.cancelled():
            self.release()

    def __del__(self) -> None:
        self.release()

    def __deepcopy__(self, memo: object) -> "Held":
        return self  # LiteLLM copies its details of a call here and there


class GuardedCallback(Callback):
    """Callback, and the guard before each attempt."""

    def __init__(self, recorder: Recorder | None = None) -> None:
        super().__init__(recorder)
        self._guard: AsyncGuard | None = None
        self._guard_pid = 0
        self._endings = Endings(Guard)
        self._places: dict[str, dict[str, Any]] = {}
        fail = os.environ.get(f"{PREFIX}GUARD_FAIL", "")
        self._fail_open = fail.strip().lower() != "closed"

    async def async_pre_call_deployment_hook(
        self, kwargs: dict[str, Any], call_type: object
    ) -> dict[str, Any] | None:
        """Hold what the attempt may cost. Raises BudgetRefusedError."""
        kind = _name(call_type)
        if kind in _PAID:
            refused = await self._reserve(kind, kwargs)
            if refused is not None:
                raise refused
        return None

    async def async_post_call_failure_deployment_hook(
        self, request_data: Details, exception: Exception, call_type: object, **_: object
    ) -> None:
        """An attempt failed. Newer versions of LiteLLM have this hook and tell some only here."""
        if (held := self._held(self._details(request_data))) is not None:
            held.unfollow()
            held.release()

    async def async_post_call_failure_hook(
        self,
        request_data: Details,
        original_exception: Exception,
        user_api_key_dict: object,
        traceback_str: str | None = None,
    ) -> None:
        """Before a proxy turns an error into an answer."""
        if isinstance(original_exception, BudgetRefusedError):
            original_exception.loud()

    async def async_log_success_event(
        self, kwargs: Details, response_obj: object, start_time: object, end_time: object
    ) -> None:
        self._unfollow(kwargs)
        await super().async_log_success_event(kwargs, response_obj, start_time, end_time)

    async def async_log_failure_event(
        self, kwargs: Details, response_obj: object, start_time: object, end_time: object
    ) -> None:
        self._unfollow(kwargs)
        await super().async_log_failure_event(kwargs, response_obj, start_time, end_time)

    def flush_guard(self, timeout: float = 10.0) -> bool:
        """Whether all endings so far are in Redis within so many seconds."""
        return self._endings.flush(timeout)

    def guard_stats(self) -> dict[str, int]:
        """Decisions of this process; see AsyncGuard.stats."""
        return self._guard.stats() if self._guard is not None else {}

    @guarded(None)
    def _unfollow(self, kwargs: Details) -> None:
        if (held := self._held(kwargs)) is not None:
            held.unfollow()

    @guarded(None)
    def _keep(
        self, kwargs: Details, response: object, started: object, *, failed: bool = False
    ) -> None:
        place = self._places.pop(str(kwargs.get("litellm_call_id")), None) if self._places else None
        details = {**kwargs, **place} if place else kwargs
        super()._keep(details, response, started, failed=failed)
        self._end(details, failed=failed)

    def _end(self, kwargs: Details, *, failed: bool) -> None:
        held = self._held(kwargs)
        if held is None:
            return
        payload = kwargs.get("standard_logging_object")
        cost = litellm_call.cost(payload if isinstance(payload, Mapping) else kwargs)
        if failed and not cost:
            held.release()
        else:
            held.settle(cost)

    async def _reserve(self, kind: str, kwargs: dict[str, Any]) -> BudgetRefusedError | None:
        try:
            return await self._ask(kind, kwargs)
        except Exception as error:  # noqa: BLE001 - an error of ours is not the caller's
            note("GuardedCallback", error)
            return None if self._fail_open else self._failed(kwargs)

    async def _ask(self, kind: str, kwargs: dict[str, Any]) -> BudgetRefusedError | None:
        details = self._details(kwargs)
        guard = self._asked()
        if (before := self._held(details)) is not None:
            # An attempt of the same call whose end nobody told; what it held may be needed now.
            await guard.release(before.leave())
        provider, model = litellm_call.provider_and_model(kwargs)
        event = litellm_payload.trimmed(
            *litellm_attribution.before(kwargs, litellm_call.header_tags(kwargs))
        )
        who = litellm_attribution.attribution(event)
        estimate = await litellm_call.estimate(guard, kind, provider, model, kwargs)
        answer = await guard.reserve(who, estimate, provider=provider, model=model)
        if isinstance(answer, Refusal):
            routed = litellm_call.is_routed(kwargs)
            return BudgetRefusedError(answer, provider, model, routed=routed)
        if answer.enforced:
            held = Held(answer, self._endings)
            held.follow(asyncio.current_task())
            details[litellm_payload.HOLD] = held
        return None

    def _details(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """LiteLLM's details of an attempt, which it hands to every hook that tells of its end.

        The SDK of 1.90 and before makes them known after this hook; then a place of our own has
        the hold, by the call's id.
        """
        found = getattr(kwargs.get("litellm_logging_obj"), "model_call_details", None)
        if isinstance(found, dict):
            return found
        while len(self._places) >= _MOST_PLACES:
            self._places.pop(next(iter(self._places)), None)
        return self._places.setdefault(str(kwargs.get("litellm_call_id")), {})

    def _held(self, details: Mapping[str, Any]) -> Held | None:
        found = details.get(litellm_payload.HOLD)
        if found is None and self._places:
            place = self._places.get(str(details.get("litellm_call_id")), {})
            found = place.get(litellm_payload.HOLD)
        return found if isinstance(found, Held) else None

    def _failed(self, kwargs: dict[str, Any]) -> BudgetRefusedError:
        """Where the environment says that what cannot be asked for is refused."""
        refusal = Refusal("unreachable", "The guard of budgets failed, so the call is refused.")
        provider, model = litellm_call.provider_and_model(kwargs)
        routed = litellm_call.is_routed(kwargs)
        return BudgetRefusedError(refusal, provider, model, routed=routed)

    def _asked(self) -> AsyncGuard:
        """The guard of this process. Made late: a proxy forks its workers."""
        if self._guard is None or self._guard_pid != os.getpid():
            if not os.environ.get(f"{PREFIX}REDIS_URL"):
                say_once(
                    f"{PREFIX}GUARD is set and {PREFIX}REDIS_URL is not: budgets are not enforced",
                    level=logging.ERROR,
                )
            self._guard, self._guard_pid = AsyncGuard(), os.getpid()
        self._endings.start()
        return self._guard


def _name(call_type: object) -> str:
    """`acompletion` and CallTypes.acompletion are completion."""
    name = str(getattr(call_type, "value", call_type))
    return name[1:] if name.startswith("a") and name[1:] in _PAID else name
