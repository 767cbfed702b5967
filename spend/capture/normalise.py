"""The one way from a raw row to a Request, whatever route it came by."""

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

from models import ATTRIBUTION_FIELDS, STATUSES
from spend.attributions import Mix
from spend.capture import values
from spend.capture.block import Block
from spend.capture.fields import arrange
from spend.capture.plain import Plain, Rules, read
from spend.capture.request import Rejected, Request
from spend.capture.times import TimeParser
from spend.pricing import Usage

_CACHED_TEXTS = 1 << 16
_SHORT = values.MAX_TEXT
_joined = "".join
_new = tuple.__new__
_NO_EXTRAS = ((), None, None, None)  # other ids, service tier, a gateway's and a provider's cost


class Normaliser:
    """Checks rows of one source and brings them to one form.

    zone: where times without an offset were read off a clock; None rejects them.
    """

    def __init__(self, zone: tzinfo | None = None, *, now: datetime | None = None) -> None:
        self._time = TimeParser(zone, now=now)
        self._counts = values.TokenCounts()
        self._heads: dict[tuple[object, object, object], tuple[str, str, str]] = {}
        self._mixes: dict[tuple[object, ...], Mix] = {}
        self._rules = Rules(zone, self._time.latest, self._known_head, self._known_mix)

    def block(self, block: Block) -> tuple[Plain | None, list[int]]:
        """The plain rows of a block, and which of its rows are for row() to decide."""
        return read(block, self._rules)

    def mapping(self, raw: Mapping[str, object]) -> Request:
        """A Request from a mapping of field names to values. Raises Rejected."""
        return self.row(arrange(raw))

    def row(self, row: Sequence[Any]) -> Request:
        """A Request from values in the order of FIELDS. Raises Rejected."""
        # Written out in one piece: this is the inner loop of an import, and each call or loop
        # over fields would cost it a tenth of its speed.
        (
            id_,
            started_at,
            provider,
            model,
            tokens,
            output,
            read,
            write,
            write_1h,
            reasoning,
            audio_in,
            audio_out,
            cost,
            status,
            trace,
            session,
            end_user,
            others,
            tier,
            gateway,
            reported,
            *who,
        ) = row
        started = self._time(started_at)
        try:
            head = self._heads[provider, model, status]
        except (KeyError, TypeError):
            head = self._head(provider, model, status)
        try:
            mix = self._mixes[tuple(who)]
        except (KeyError, TypeError):
            mix = self._mix(who)
        counts = self._counts
        try:
            tokens, output = counts[tokens], counts[output]
            read, write, write_1h = counts[read], counts[write], counts[write_1h]
            reasoning, audio_in, audio_out = counts[reasoning], counts[audio_in], counts[audio_out]
        except TypeError:  # a list or an object where a number should be
            raise Rejected("a token count is not a number") from None
        if read + write + write_1h > tokens or audio_in > tokens:
            raise Rejected("the parts of input_tokens are more than input_tokens")
        if reasoning > output or audio_out > output:
            raise Rejected("the parts of output_tokens are more than output_tokens")
        usage = _new(Usage, (tokens, output, read, write, write_1h, reasoning, audio_in, audio_out))
        try:
            texts = _joined(
                (
                    "" if id_ is None else id_,
                    "" if trace is None else trace,
                    "" if session is None else session,
                    "" if end_user is None else end_user,
                )
            )
        except TypeError:  # a number, perhaps
            texts = " "
        # Holds for all that gateways make; values.text decides about the rest, one by one.
        if texts.isascii() and texts.isprintable() and " " not in texts and len(texts) <= _SHORT:
            id_, trace, session, end_user = (
                id_ or None,
                trace or None,
                session or None,
                end_user or None,
            )
        else:
            id_ = values.text("id", id_)
            trace = values.text("trace_id", trace)
            session = values.text("session_id", session)
            end_user = values.text("end_user", end_user)
        pico = None if cost is None or cost == "" else values.cost(cost)
        request = _new(
            Request,
            (
                id_,
                started,
                head[0],
                head[1],
                usage,
                pico,
                head[2],
                trace,
                session,
                end_user,
                mix,
                *_NO_EXTRAS,
            ),
        )
        if others or tier or gateway is not None or reported is not None:
            return _extended(request, others, tier, gateway, reported)
        return request

    def _known_head(self, found: tuple[object, object, object]) -> tuple[str, str, str]:
        return self._heads.get(found) or self._head(*found)

    def _known_mix(self, who: tuple[object, ...]) -> Mix:
        return self._mixes.get(who) or self._mix(who)

    def _head(self, provider: object, model: object, status: object) -> tuple[str, str, str]:
        names = values.text("provider", provider), values.text("model", model)
        if names[0] is None:
            raise Rejected("provider is missing")
        if names[1] is None:
            raise Rejected("model is missing")
        state = values.text("status", status) or "success"
        if state not in STATUSES:
            raise Rejected(f"status is neither success nor failure: {state!r:.40}")
        head = names[0], names[1], state
        if len(self._heads) < _CACHED_TEXTS and isinstance(provider, str):
            self._heads[provider, model, status] = head
        return head

    def _mix(self, who: Sequence[object]) -> Mix:
        *names, tags = who
        texts = [
            values.text(field, name) for field, name in zip(ATTRIBUTION_FIELDS, names, strict=True)
        ]
        mix = Mix._make((*texts, values.tags(tags)))
        if len(self._mixes) >= _CACHED_TEXTS:
            self._mixes.clear()  # somebody's user_id has a value per request
        if not isinstance(tags, list):
            self._mixes[tuple(who)] = mix
        return mix


def _extended(
    request: Request, others: object, tier: object, gateway: object, reported: object
) -> Request:
    """With what gateways know and few files say."""
    others = values.ids(others, request.id)
    if request.id is None and others:
        request, others = request._replace(id=others[0]), others[1:]
    return request._replace(
        other_ids=others,
        service_tier=values.tier(tier),
        gateway_pico=values.cost(gateway, "gateway_cost_usd"),
        provider_pico=values.cost(reported, "provider_cost_usd"),
    )
