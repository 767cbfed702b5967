"""A recorded call that a guard is asked for: what is held, recorded and settled has one id."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from spendbeat_gateway import event
from spendbeat_gateway.faults import guarded, note
from spendbeat_gateway.guard.answers import Hold, Refusal, RefusedError
from spendbeat_gateway.guard.attributing import FIELDS, spread
from spendbeat_gateway.guard.endings import Endings
from spendbeat_gateway.seen import Seen
from spendbeat_gateway.usage import cost

if TYPE_CHECKING:
    from spendbeat_gateway.guard import Estimate, Guard

_endings: "dict[Guard, Endings]" = {}  # of a process' few guards


class Kept:
    """Room for one call. request: what the provider is sent; or estimate: what it costs at most."""

    def __init__(
        self,
        guard: "Guard",
        request: object,
        estimate: "Estimate | Decimal | None",
        defaults: Mapping[str, object],
    ) -> None:
        if request is None and estimate is None:
            raise TypeError("a guard needs request=, or estimate=")
        self._guard = guard
        self._request = request
        self._estimate = estimate
        self._defaults = defaults
        self._hold: Hold | None = None

    def begin(self, fields: Mapping[str, object]) -> None:
        """Raises RefusedError; an error of ours lets the call pass."""
        try:
            answer = self._ask({**self._defaults, **fields})
        except Exception as error:  # noqa: BLE001 - the promise of the recorder
            note("Kept.begin", error)
            return
        if isinstance(answer, Refusal):
            raise RefusedError(answer)
        self._hold = answer

    def named(self, seen: Seen, fields: Mapping[str, object]) -> dict[str, object]:
        """The fields, with the hold's id among the event's."""
        if self._hold is None or not self._hold.enforced:
            return dict(fields)
        said = fields.get("other_ids")
        others = list(said) if isinstance(said, list | tuple) else [said] if said else []
        if fields.get("id") is not None and seen.id is not None and not others:
            others = [seen.id]
        return {**fields, "other_ids": [*others, self._hold.id]}

    @guarded(None)
    def end(self, seen: Seen, fields: Mapping[str, object], *, failed: bool) -> None:
        """Settle, or give back what a call that failed without using anything held."""
        hold, self._hold = self._hold, None
        if hold is None or not hold.enforced:
            return
        endings = _of(self._guard)
        if failed and seen.usage is None and not event.measured(fields):
            endings.release(hold)
        else:
            endings.settle(hold, _actual(seen, fields))

    def __del__(self) -> None:
        """Nobody came to end it, as when a task is cancelled while it asks."""
        if (hold := getattr(self, "_hold", None)) is not None and hold.enforced:
            _of(self._guard).release(hold)

    def _ask(self, fields: Mapping[str, object]) -> Hold | Refusal:
        provider, model = str(fields.get("provider")), str(fields.get("model"))
        model = model.removeprefix(provider + "/")
        estimate = self._estimate
        if estimate is None:
            estimate = self._guard.estimate(provider, model, self._request)
        tags = fields.get("tags")
        tags = tags.split(",") if isinstance(tags, str) else tags
        texts = [str(tag).strip() for tag in tags] if isinstance(tags, list | tuple) else []
        who = spread({name: fields.get(name) for name in FIELDS}, texts)
        _of(self._guard).start()
        return self._guard.reserve(who, estimate, provider=provider, model=model)


def _of(guard: "Guard") -> Endings:
    found = _endings.get(guard)
    if found is None:
        found = _endings[guard] = Endings(lambda: guard)
    return found


def _actual(seen: Seen, fields: Mapping[str, object]) -> Decimal | None:
    """Dollars, as far as somebody says them; None: what was held counts until it is booked."""
    said = next((fields[name] for name in event.COSTS if fields.get(name) is not None), None)
    found = cost(seen.usage) if said is None and seen.usage is not None else said
    try:
        return None if found is None else Decimal(str(found))
    except InvalidOperation:
        return None
