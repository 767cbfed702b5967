"""Holds of requests that LiteLLM's own guardrail asked for: ended when LiteLLM logs the call.

LiteLLM tells the guardrail no more than the call id, which clients may choose and use twice. So a
hold has an id of its own, and waits in Redis under the call id until an event of that call claims
it: one event, one hold. The event then carries the hold's id into the ledger.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import orjson
from redis import RedisError
from redis.asyncio import Redis as AsyncRedis
from spendbeat_gateway.guard import Guard, Hold
from spendbeat_gateway.guard.keys import PREFIX
from spendbeat_gateway.guard.settings import plain_url

from worker.broker import client

log = logging.getLogger(__name__)

_CALLS = f"{PREFIX}calls"  # there while anybody may wait
_KEPT = 86_400  # seconds; LiteLLM's logger tries for less
_LOOKED = 2.0  # seconds between looks whether anybody waits
_PATIENCE = 0.5
_COSTS = ("cost_usd", "provider_cost_usd", "gateway_cost_usd")


class Arrivals:
    """expect() from the event loop of the service; the rest from its threads."""

    def __init__(self, redis_url: str) -> None:
        self._url = redis_url
        self._redis = client(redis_url, _PATIENCE)
        self._async: AsyncRedis | None = None
        self._guard: Guard | None = None
        self._next_look = 0.0
        self._wait = False

    async def expect(self, call: str, hold: Hold) -> None:
        """Let the event of this call end this hold. Where Redis is away it expires instead."""
        if self._async is None:
            self._async = AsyncRedis.from_url(
                plain_url(self._url), socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE
            )
        key = _key(call)
        pipe = self._async.pipeline(transaction=False)
        pipe.rpush(key, orjson.dumps(hold.as_dict()))
        pipe.expire(key, _KEPT)
        pipe.set(_CALLS, 1, ex=_KEPT)
        try:
            await pipe.execute()
        except RedisError as error:
            log.warning("A hold cannot be found again, so it expires: %s", type(error).__name__)
        self._wait = True

    def claimed(self, payloads: list[Any]) -> "Claims | None":
        """Give the holds of these payloads' calls their ids; None where nobody waits."""
        if not self._anybody():
            return None
        claims = Claims(self)
        try:
            self._claim(payloads, claims)
        except RedisError as error:
            self._away(error)
        return claims

    def guard(self) -> Guard:
        if self._guard is None:
            self._guard = Guard(self._url)
        return self._guard

    def give_back(self, call: str, hold: Hold) -> None:
        """For the same event, which will be sent again."""
        try:
            self._redis.lpush(_key(call), orjson.dumps(hold.as_dict()))
        except RedisError as error:
            self._away(error)

    def _claim(self, payloads: list[Any], claims: "Claims") -> None:
        pipe = self._redis.pipeline(transaction=False)
        asked = []
        for payload in payloads:
            call = payload.get("litellm_call_id") if isinstance(payload, dict) else None
            if not isinstance(call, str) or payload.get("spendbeat_hold"):
                continue
            # Another attempt of a call that failed may follow, so its hold stays there.
            failed = payload.get("status") == "failure" and not payload.get("response_cost")
            (pipe.lindex(_key(call), 0) if failed else pipe.lpop(_key(call)))
            asked.append((payload, call, failed))
        for (payload, call, failed), text in zip(asked, pipe.execute(), strict=True):
            if text:
                hold = Hold.from_dict(orjson.loads(text))
                claims.add(payload, call, hold, failed=failed)

    def _anybody(self) -> bool:
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + _LOOKED
            try:
                self._wait = bool(self._redis.exists(_CALLS))
            except RedisError as error:
                self._away(error)
        return self._wait

    def _away(self, error: RedisError) -> None:
        self._wait, self._next_look = False, time.monotonic() + _LOOKED
        log.warning("Holds of guardrails are not looked for: %s", type(error).__name__)

    async def aclose(self) -> None:
        self._redis.close()
        if self._guard is not None:
            self._guard.close()
        if self._async is not None:
            await self._async.aclose()


class Claims:
    """Holds that the events of one request have claimed."""

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self._failed: list[Hold] = []
        self._ended: dict[str, tuple[str, Hold]] = {}

    def add(self, payload: dict[str, Any], call: str, hold: Hold, *, failed: bool) -> None:
        if failed:
            self._failed.append(hold)
        else:
            payload["spendbeat_hold"] = hold.id
            self._ended[hold.id] = call, hold

    def end(self, rows: Sequence[object], *, booked: bool) -> None:
        """After the events were booked, or could not be."""
        try:
            self._end(rows, booked=booked)
        except (RedisError, ValueError) as error:
            log.warning("Holds of guardrails expire by themselves: %s", type(error).__name__)

    def _end(self, rows: Sequence[object], *, booked: bool) -> None:
        if not booked:
            for call, hold in self._ended.values():
                self._arrivals.give_back(call, hold)
            return
        costs = {
            id_: _cost(row)
            for row in rows
            if isinstance(row, dict)
            for id_ in row.get("other_ids", ())
            if id_ in self._ended
        }
        guard = self._arrivals.guard()
        for id_, (_, hold) in self._ended.items():
            guard.settle(hold, costs.get(id_))
        for hold in self._failed:
            guard.release(hold)


def _cost(row: Mapping[str, Any]) -> Decimal | None:
    return next((row[name] for name in _COSTS if row.get(name) is not None), None)


def _key(call: str) -> str:
    return f"{PREFIX}call:{call[:512]}"
