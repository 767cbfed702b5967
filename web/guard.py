"""POST /guard/reserve, /guard/settle, /guard/release: the guard, for anything with HTTP."""

import math
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Any

import orjson
from fastapi import APIRouter
from spendbeat_gateway.guard import AmountError, Hold, Refusal
from spendbeat_gateway.guard.attributing import spread
from spendbeat_gateway.guard.estimate import Estimate
from starlette.requests import Request
from starlette.responses import Response

from models import ATTRIBUTION_FIELDS
from spend.capture import values
from spend.capture.litellm import loose
from spend.capture.request import Rejected
from web import bodies, refusals
from web.described import guard as guard_description
from web.guarding import Guarding

_WHO = frozenset({*ATTRIBUTION_FIELDS, "user", "org", "tags"})
_WHAT = frozenset({"provider", "model", "id", "lifetime", "estimate_usd", "request", "max_tokens"})
_ALIASES = {"user": "user_id", "org": "organization"}
_LONGEST_LIFE = 86_400.0
# Refusals that say nothing about budgets: Redis is away, or what Postgres knows is not there yet.
_AWAY = frozenset({"unreachable", "cold"})
_DEFAULT_WAIT = 5

Said = dict[str, Any]


async def _reserve(guarding: Guarding, said: Said) -> Response:
    """Keep room for a call in every budget that it is in, or in none and say which has none.

    Whoever gets a hold settles it with what the call has cost, or releases it; otherwise it
    expires after `lifetime`. Send the hold's id with the call's event, as `id` or in `other_ids`.
    """
    if unknown := sorted(said.keys() - _WHO - _WHAT):
        raise refusals.invalid(f"There is no field {unknown[0]!r:.60} here.")
    provider, model = _text(said, "provider"), _text(said, "model")
    if provider is None or model is None:
        raise refusals.invalid("provider and model are needed.")
    model = model.removeprefix(f"{provider}/")
    lifetime = _number(said, "lifetime")
    if lifetime is not None and not 1 <= lifetime <= _LONGEST_LIFE:
        raise refusals.invalid(f"lifetime is seconds from 1 to {_LONGEST_LIFE:.0f}.")
    estimate = await _estimate(guarding, said, provider, model)
    try:
        answer = await guarding.guard.reserve(
            attribution(said),
            estimate,
            provider=provider,
            model=model,
            id=_text(said, "id"),
            lifetime=lifetime,
        )
    except AmountError as error:
        raise refusals.invalid(f"estimate_usd: {error}.") from None
    return _held(answer, estimate) if isinstance(answer, Hold) else refused(answer)


async def _settle(guarding: Guarding, said: Said) -> Response:
    """Count what a call has cost, once, however often and late it is said."""
    if "cost_usd" not in said:
        raise refusals.invalid("cost_usd is needed: dollars, or null where they are not known.")
    cost = _money(said, "cost_usd")
    try:
        await guarding.guard.settle(_hold(said), cost)
    except AmountError as error:
        raise refusals.invalid(f"cost_usd: {error}.") from None
    return _json({"settled": True})


async def _release(guarding: Guarding, said: Said) -> Response:
    """Give the room back. A later settle counts all the same."""
    await guarding.guard.release(_hold(said))
    return _json({"released": True})


def attribution(said: Mapping[str, Any]) -> dict[str, object]:
    """The fields of a request as the ledger takes them, tags such as project:alpha spread."""
    named = {_ALIASES.get(name, name): value for name, value in said.items() if name in _WHO}
    try:
        tags = values.tags(named.pop("tags", None))
        return spread({name: values.text(name, value) for name, value in named.items()}, tags)
    except Rejected as verdict:
        raise refusals.invalid(f"{verdict}.") from None


def refused(refusal: Refusal) -> Response:
    """429, or 503 where it is not a budget that says no."""
    said = {
        "error": refusal.message,
        "allowed": False,
        "reason": refusal.reason,
        "budget": refusal.budget,
        "left_usd": _dollars(refusal.left),
        "limit_usd": _dollars(refusal.limit),
        "ends": refusal.ends.isoformat() if refusal.ends else None,
        "retry_after": refusal.retry_after,
    }
    away = refusal.reason in _AWAY
    wait = refusal.retry_after if refusal.retry_after is not None or not away else _DEFAULT_WAIT
    headers = {} if wait is None else {"Retry-After": str(max(1, math.ceil(wait)))}
    return _json(said, 503 if away else 429, headers)


def _held(hold: Hold, estimate: Estimate | Decimal) -> Response:
    said: Said = {"allowed": True, "enforced": hold.enforced, "hold": hold.as_dict()}
    if isinstance(estimate, Estimate):
        said["estimate"] = {
            "usd": _dollars(estimate.dollars),
            "tokens": estimate.tokens,
            "upper_bound": estimate.upper_bound,
            "how": estimate.how,
        }
    return _json(said)


async def _estimate(
    guarding: Guarding, said: Said, provider: str, model: str
) -> Estimate | Decimal:
    if "estimate_usd" in said:
        if "request" in said or "max_tokens" in said:
            raise refusals.invalid("estimate_usd, or request and max_tokens: not both.")
        if (dollars := _money(said, "estimate_usd")) is None:
            raise refusals.invalid("estimate_usd is missing its dollars.")
        return dollars
    request = said.get("request")
    if not isinstance(request, str | list | dict):
        raise refusals.invalid(
            "estimate_usd is needed, or request: the body that the provider is to be sent, its"
            " messages, or a text."
        )
    most = _number(said, "max_tokens")
    return await guarding.guard.estimate(
        provider, model, request, max_tokens=None if most is None else int(most)
    )


def _hold(said: Said) -> Hold:
    hold = said.get("hold")
    if not isinstance(hold, dict):
        raise refusals.invalid("hold is needed: what /guard/reserve gave.")
    try:
        return Hold.from_dict(hold)
    except (ValueError, OverflowError) as error:
        raise refusals.invalid(f"hold: {error}.") from None


def _text(said: Said, name: str) -> str | None:
    try:
        return values.text(name, said.get(name))
    except Rejected as verdict:
        raise refusals.invalid(f"{verdict}.") from None


def _number(said: Said, name: str) -> float | None:
    value = said.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise refusals.invalid(f"{name} is a number from 0, not {value!r:.40}.")
    return float(value)


def _money(said: Said, name: str) -> Decimal | None:
    if said[name] is None:
        return None
    dollars = loose.money(said[name])
    if dollars is None:
        raise refusals.invalid(f"{name} is dollars from 0, not {said[name]!r:.40}.")
    return dollars


def _dollars(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"


def _json(said: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(said), status, dict(headers or {}), bodies.JSON)


def router(guarding: Guarding) -> APIRouter:
    """The three routes."""
    routes = APIRouter()
    doors: tuple[tuple[str, str, Callable[[Guarding, Said], Awaitable[Response]], Said], ...] = (
        ("reserve", "Ask whether a call may be made", _reserve, guard_description.RESERVE),
        ("settle", "Say what a call has cost", _settle, guard_description.SETTLE),
        ("release", "Say that a call was not made, or cost nothing", _release,
         guard_description.RELEASE),
    )  # fmt: skip
    for name, summary, act, described in doors:
        routes.post(f"/guard/{name}", summary=summary, **described)(_route(guarding, act))
    return routes


def _route(
    guarding: Guarding, act: Callable[[Guarding, Said], Awaitable[Response]]
) -> Callable[[Request], Awaitable[Response]]:
    async def route(request: Request) -> Response:
        return await guarding.answer(request, act)

    route.__doc__ = (act.__doc__ or "").strip()
    return route
