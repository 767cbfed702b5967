"""What a response, or the chunks of a streamed one, say about a call. Nothing here raises."""

from collections.abc import Mapping

from spendbeat_gateway.faults import note
from spendbeat_gateway.usage import get

# Some servers number their answers (Ollama: chatcmpl-123), which says nothing about which it is.
_SHORTEST_ID = 20
# Events of streams that hold more than a piece of the answer.
_TELLING = (
    "message_start",
    "response.created",
    "response.completed",
    "response.incomplete",
    "response.failed",
)


class Seen:
    """Collects id, model, service tier and usage; as happy with one response as with chunks."""

    __slots__ = ("id", "model", "tier", "usage")

    def __init__(self) -> None:
        self.id: str | None = None
        self.model: str | None = None
        self.tier: str | None = None
        self.usage: object = None

    def see(self, thing: object) -> None:
        """Take what a response or a chunk says. Written for speed: it runs for each chunk."""
        try:
            if type(thing) is dict:
                kind, usage = thing.get("type"), thing.get("usage")
            else:
                kind, usage = get(thing, "type"), get(thing, "usage")
            if usage is not None or self.model is None or kind in _TELLING:
                self._take(thing, kind)
        except Exception as error:  # noqa: BLE001 - nothing of ours goes into the call
            note("Seen.see", error)

    def _take(self, thing: object, kind: object) -> None:
        if kind == "message_start":  # Anthropic's first event holds a message
            thing = get(thing, "message")
        elif kind in _TELLING:  # the Responses API's events hold a response
            thing = get(thing, "response")
        if thing is not None:
            self._name(thing)
            self._measure(thing, changes=kind == "message_delta")

    def _name(self, thing: object) -> None:
        """The first id and model that are any."""
        if self.id is None:
            id_ = get(thing, "id")
            if isinstance(id_, str) and len(id_) >= _SHORTEST_ID:
                self.id = id_
        if self.model is None:
            model = get(thing, "model")
            if isinstance(model, str) and model:
                self.model = model

    def _measure(self, thing: object, *, changes: bool) -> None:
        """The last tier and usage; Anthropic's message_delta repeats only what has changed."""
        usage = get(thing, "usage")
        tier = get(thing, "service_tier") or get(usage, "service_tier")
        if isinstance(tier, str):
            self.tier = tier
        if usage is not None:
            self.usage = _merged(self.usage, usage) if changes else usage


def _merged(old: object, new: object) -> object:
    return {**_plain(old), **{name: v for name, v in _plain(new).items() if v is not None}}


def _plain(usage: object) -> dict[str, object]:
    if usage is None:
        return {}
    if isinstance(usage, Mapping):
        return dict(usage)
    dump = getattr(usage, "model_dump", None)
    found = dump() if callable(dump) else getattr(usage, "__dict__", {})
    return dict(found) if isinstance(found, Mapping) else {}
