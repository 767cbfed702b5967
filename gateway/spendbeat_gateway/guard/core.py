"""What a guard does, without the I/O: generators that yield what is to be asked of Redis.

A step is (what, arguments): ("sleep", (seconds,)), ("get", (key,)), ("count", (mapping,)), or the
name of a script with its ARGV. What Redis answers is sent in; Away is thrown in when it does not.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Generator, Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any, TypeAlias
from uuid import uuid4

from spendbeat_gateway import faults, forks
from spendbeat_gateway.guard import amounts, keys, refusals
from spendbeat_gateway.guard.answers import AmountError, Hold, Refusal
from spendbeat_gateway.guard.estimate import Estimate
from spendbeat_gateway.guard.local import UNKNOWN, Allowances
from spendbeat_gateway.guard.rules import Matched, Rules
from spendbeat_gateway.guard.settings import GuardSettings

log = logging.getLogger("spendbeat_gateway")

Step: TypeAlias = tuple[str, tuple[Any, ...]]
_LONGEST = 86_400.0
_STALE: tuple[str, ...] = ("rules",)
_POLL = 0.02  # seconds between two looks for what is cold
_MOST_LATER = 10_000
_AT_ONCE = 50
_COUNT_EVERY = 1.0


class Away(Exception):  # noqa: N818 - a state of Redis, named as such
    """Redis did not answer, or with an error."""


class Asked:
    """One call that asks for room. nano is None while its price is not known.

    Raises AmountError.
    """

    __slots__ = ("attribution", "estimate", "id", "lifetime", "model", "nano", "provider")

    def __init__(
        self,
        attribution: Mapping[str, object],
        estimate: Estimate | Decimal | None,
        *,
        provider: str,
        model: str,
        hold: str | None,
        lifetime: float | None,
    ) -> None:
        dollars = estimate.dollars if isinstance(estimate, Estimate) else estimate
        self.attribution = attribution
        self.estimate = estimate
        # As a recorder writes what is not said.
        self.provider = provider or "unknown"
        self.model = model or "unknown"
        self.id = hold or f"guard:{uuid4().hex}"
        if lifetime is not None and not 0 < lifetime <= _LONGEST:
            raise ValueError(f"a hold's lifetime must be from 0 to {_LONGEST} seconds")
        self.lifetime = lifetime or 0.0  # 0: as the guard says
        self.nano = None if dollars is None else amounts.up(dollars)

    def amount(self, matched: Matched) -> int:
        """What to hold: of what has no price, its tokens at the highest ceiling that is set."""
        if self.nano is not None:
            return self.nano
        tokens = self.estimate.tokens if isinstance(self.estimate, Estimate) else 0
        return int((max(0, tokens) * matched.ceiling).to_integral_value(ROUND_CEILING))

    def hold(self, nano: int, **fields: Any) -> Hold:
        return Hold(self.id, nano, expires_at=time.time() + self.lifetime, **fields)


class Core:
    """What all callers of one process share: rules, what is to be told later, counts.

    wait: seconds to wait for a counter that is cold. pause: seconds for which Redis is left alone
    after it did not answer. fresh: seconds for which a call that no rule is about relies on that.
    """

    def __init__(
        self,
        settings: GuardSettings,
        *,
        lifetime: float,
        wait: float = 2.0,
        pause: float = 1.0,
        fresh: float = 1.0,
    ) -> None:
        if not 0 < lifetime <= _LONGEST:
            raise ValueError(f"a hold's lifetime must be from 0 to {_LONGEST} seconds")
        self.settings = settings
        self._lifetime, self._wait, self._pause, self._fresh = lifetime, wait, pause, fresh
        self._rules: Rules | None = None
        self._checked = 0.0
        self._allowance = amounts.up(settings.allowance)
        self._local = Allowances()
        self._begin()
        forks.watch(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._reading_until = 0.0
        self._impatient_until = 0.0
        self._away_until = 0.0
        self._away_since: float | None = None
        self._later: deque[tuple[Hold, int | None]] = deque(maxlen=_MOST_LATER)
        self._counts: dict[str, int] = {}
        self._untold: dict[str, int] = {}
        self._told = 0.0

    def before_fork(self) -> None: ...

    def after_fork(self, *, child: bool) -> None:
        if child:
            self._begin()
            self._local.after_fork()

    def stats(self) -> dict[str, int]:
        with self._lock:
            return dict(self._counts)

    # Asking for room

    def reserve(self, asked: Asked) -> Generator[Step, Any, Hold | Refusal]:
        asked.lifetime = asked.lifetime or self._lifetime
        if self._leave_alone():
            return self._alone(asked)
        try:
            answer = yield from self._reserve(asked)
        except Away as away:
            self._went_away(away)
            return self._alone(asked)
        if self._behind:
            yield from self._catch_up()
        return answer

    def _reserve(self, asked: Asked) -> Generator[Step, Any, Hold | Refusal]:
        deadline = None
        while True:
            rules = self._rules or (yield from self._read(None))
            matched = None if rules is None else self._match(rules, asked)
            cold = _STALE
            if rules is not None and matched is not None:
                answer = yield from self._ask(rules, matched, asked)
                if not isinstance(answer, tuple):
                    return answer
                cold = answer
                if cold == _STALE:
                    yield from self._read(rules)
                if self._rules is not rules:
                    continue
            now = time.monotonic()
            if deadline is None:
                self._count("cold")
                deadline = now + (self._wait if now >= self._impatient_until else 0)
            if now >= deadline:
                self._impatient_until = now + self._wait
                return (yield from self._stays_cold(asked, matched, cold))
            yield ("sleep", (_POLL,))

    def _match(self, rules: Rules, asked: Asked) -> Matched:
        return rules.match(asked.attribution, asked.provider, asked.model, time.time())

    def _ask(
        self, rules: Rules, matched: Matched, asked: Asked
    ) -> Generator[Step, Any, Hold | Refusal | tuple[str, ...]]:
        """What the script says; a tuple: what is cold, or _STALE when there are other rules."""
        if matched.old:
            yield ("miss", ("rules",))
            return _STALE
        if not matched:
            is_new = yield from self._is_new(rules)
            return _STALE if is_new else asked.hold(asked.nano or 0)
        if asked.nano is None and (refusal := refusals.unpriced(matched, asked.model)):
            self._count("refused:unpriced")
            return refusal
        nano = asked.amount(matched)
        if nano > amounts.MOST:
            raise AmountError(f"{nano} nano-dollars do not fit into 64 bits")
        milliseconds = int(asked.lifetime * 1000)
        reply = yield (
            "reserve",
            (asked.id, nano, milliseconds, rules.version, matched.names, matched.limits),
        )
        if type(reply) is int:
            self._count("allowed")
            if self._local and not self._later:
                self._local.forget_settled(matched.counters)
            return Hold(asked.id, nano, matched.counters, reply / 1000, enforced=True)
        return self._understand(_text(reply).split(" "), matched, nano, asked)

    def _understand(
        self, words: list[str], matched: Matched, nano: int, asked: Asked
    ) -> Hold | Refusal | tuple[str, ...]:
        if words[0] == "again":
            self._count("again")
            _, _, held, expires, *names = words
            counters = tuple(name for name in names if name)
            return Hold(asked.id, int(held), counters, int(expires) / 1000, enforced=True)
        if words[0] in {"stale", "cold"}:
            return tuple(words[1:]) or _STALE
        self._count(f"refused:{words[0]}", told=True)
        return refusals.from_script(matched, words, nano, time.time())

    def _stays_cold(
        self, asked: Asked, matched: Matched | None, cold: tuple[str, ...]
    ) -> Generator[Step, Any, Hold | Refusal]:
        """The policy of what is cold, and what is warm as ever."""
        if matched is None or self._rules is None or not set(cold) & set(matched.counters):
            return self._alone(asked, matched, cold=True)
        answer = self._alone(asked, matched.only(set(cold)), cold=True)
        if isinstance(answer, Refusal):
            return answer
        warm = matched.only(set(matched.counters) - set(cold))
        if not warm:
            return answer
        other = yield from self._ask(self._rules, warm, asked)
        if isinstance(other, Hold):
            return other
        self._local.forget(asked.id)
        return other if isinstance(other, Refusal) else self._alone(asked, matched, cold=True)

    # Rules

    def _read(self, old: Rules | None) -> Generator[Step, Any, Rules | None]:
        """The rules that are in Redis; one caller reads, the others wait for it a little."""
        if self._rules is not old:
            return self._rules
        now = time.monotonic()
        if now < self._reading_until:
            yield ("sleep", (_POLL / 4,))
            return self._rules
        self._reading_until = now + self._wait
        try:
            text = yield ("get", (keys.RULES,))
            if text is None:
                yield ("miss", ("rules",))
                return None
            self._checked = time.monotonic()
            new = Rules(text)
            if old is None or new.version != old.version:
                self._rules = new
        except (ValueError, KeyError, TypeError, ArithmeticError) as error:
            faults.note("the guard's rules", error)
        finally:
            self._reading_until = 0.0
        return self._rules

    def _is_new(self, rules: Rules) -> Generator[Step, Any, bool]:
        """Whether there are other rules than those that say nothing about a call."""
        now = time.monotonic()
        if now - self._checked < self._fresh and self._away_since is None:
            return False
        self._checked = now
        version = yield ("get", (keys.VERSION,))
        if version is not None and _text(version) == rules.version:
            return False
        yield from self._read(rules)
        return self._rules is not rules

    # After the call

    def settle(self, hold: Hold, actual: Decimal | None) -> Generator[Step, Any, None]:
        nano = hold.nano if actual is None else amounts.up(actual)
        yield from self._tell(hold, nano)

    def release(self, hold: Hold) -> Generator[Step, Any, None]:
        yield from self._tell(hold, None)

    def _tell(self, hold: Hold, nano: int | None) -> Generator[Step, Any, None]:
        """nano: what it has cost; None: it is released."""
        if hold.local or self._local:
            if nano is None:
                self._local.forget(hold.id)
            else:
                self._local.settle(hold.id, nano)
        if not hold.enforced or (hold.local and not hold.counters):
            return
        if self._leave_alone():
            self._later.append((hold, nano))
            return
        try:
            yield from self._tell_redis(hold, nano)
        except Away as away:
            self._later.append((hold, nano))
            self._went_away(away)
            return
        if self._behind:
            yield from self._catch_up()

    def _tell_redis(self, hold: Hold, nano: int | None) -> Generator[Step, Any, None]:
        if nano is None:
            yield ("release", (hold.id,))
            if self._local:
                self._local.forget(hold.id)
        else:
            names = " ".join(hold.counters)
            reply = yield ("settle", (hold.id, hold.nano, nano, hold.nano - nano, names))
            if not isinstance(reply, int):
                raise AmountError(f"what hold {hold.id} has cost does not fit into 64 bits")

    def close(self) -> Generator[Step, Any, None]:
        """Tell Redis what there is left to tell, if it answers."""
        self._told = 0.0
        if self._behind:
            yield from self._catch_up()

    # Redis away

    def _leave_alone(self) -> bool:
        """Whether Redis did not answer a moment ago. One caller at a time tries again."""
        if self._away_since is None:
            return False
        now = time.monotonic()
        with self._lock:
            if now < self._away_until:
                return True
            self._away_until = now + self._pause
        return False

    def _went_away(self, away: Away) -> None:
        now = time.monotonic()
        with self._lock:
            first = self._away_since is None
            if first:
                self._away_since = now
            self._away_until = now + self._pause
        if first:
            self._count("away")
            log.warning(
                "The guard's Redis does not answer (%s). Until it does, budgets that fail open let"
                " calls through up to their allowance, the others let none through.",
                away,
            )

    @property
    def _behind(self) -> bool:
        """Whether there is something to tell Redis now that it answers."""
        if self._later or self._away_since is not None:
            return True
        return bool(self._untold) and time.monotonic() - self._told >= _COUNT_EVERY

    def _catch_up(self) -> Generator[Step, Any, None]:
        """Redis answers: tell it what it has missed, some of it with each call."""
        try:
            yield from self._tell_missed()
        except Away as away:
            self._went_away(away)

    def _tell_missed(self) -> Generator[Step, Any, None]:
        with self._lock:
            since, self._away_since = self._away_since, None
        if since is not None:
            seconds = time.monotonic() - since
            log.warning("The guard's Redis answers again after %.1f seconds.", seconds)
        for _ in range(_AT_ONCE):
            try:
                hold, nano = self._later.popleft()
            except IndexError:
                break
            try:
                yield from self._tell_redis(hold, nano)
            except AmountError as error:
                faults.note("settling later", error)
            except BaseException:  # away, or the call that we are told with is cancelled
                self._later.appendleft((hold, nano))
                raise
        now = time.monotonic()
        with self._lock:
            if now - self._told < _COUNT_EVERY or not self._untold:
                return
            self._told, untold = now, self._untold
            self._untold = {}
        yield ("count", (untold,))

    def _alone(
        self, asked: Asked, matched: Matched | None = None, *, cold: bool = False
    ) -> Hold | Refusal:
        """The answer of this process, by the policies of the budgets."""
        if matched is None and self._rules is not None:
            matched = self._rules.match(asked.attribution, asked.provider, asked.model, time.time())
        refuse = refusals.cold if cold else refusals.unreachable
        reason = "refused:cold" if cold else "refused:unreachable"
        if matched is None or matched.old:
            allowed = [(UNKNOWN, self._allowance if self.settings.fail_open else -1)]
            names: dict[str, str | None] = {UNKNOWN: None}
            nano = asked.nano or 0
        else:
            if asked.nano is None and (refusal := refusals.unpriced(matched, asked.model)):
                self._count("refused:unpriced")
                return refusal
            pairs = list(zip(matched.counters, matched.budgets, strict=True))
            allowed = [(name, one.allowance if one.fails_open else -1) for name, one in pairs]
            names = {name: one.name for name, one in pairs}
            nano = asked.amount(matched)
        closed = next((name for name, most in allowed if most < 0), None)
        if closed is not None:
            self._count(reason)
            return refuse(names[closed], used_up=False, retry_after=self._pause)
        hold = asked.hold(
            nano,
            counters=tuple(name for name in names if name != UNKNOWN),
            enforced=bool(allowed),
            local=bool(allowed),
        )
        if not allowed:  # no budget asks for anything
            return hold
        used_up = self._local.take(asked.id, nano, allowed, hold.expires_at)
        if used_up is not None:
            self._count(reason)
            return refuse(names[used_up], used_up=True, retry_after=self._pause)
        self._count("local:allowed")
        return hold

    def _count(self, decision: str, *, told: bool = False) -> None:
        """told: Redis has counted it itself."""
        with self._lock:
            self._counts[decision] = self._counts.get(decision, 0) + 1
            if not told:
                self._untold[decision] = self._untold.get(decision, 0) + 1


def _text(reply: bytes | str) -> str:
    return reply.decode() if isinstance(reply, bytes) else reply
