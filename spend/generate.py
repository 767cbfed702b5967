"""Made-up traffic of a company that uses many models: the same for the same seed.

Requests follow the hours of office days, prompts have long tails, agents work in traces, some
prompts are cached, and about one request in a hundred fails.
"""

from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate
from math import exp, pi, sin
from random import Random
from statistics import NormalDist
from typing import NamedTuple

from spend.generate_models import MODELS, Model

_LENGTHS = 1024  # how finely a distribution of lengths is drawn
_SIGMA = 1.1
_CALLERS = 240
_PICKS = 4096  # how finely shares of callers are drawn
_MINUTES = 1440
_MINUTE_US = 60_000_000
_WEEKEND = 5
_CONTEXT = 190_000
_ORGANIZATIONS = {
    "acme": ("support-bot", "search", "billing-assistant", "onboarding"),
    "globex": ("code-review", "ide-completion", "docs-writer"),
    "initech": ("reports", "invoice-reader"),
    "umbrella": ("lab-notes", "literature", "trial-matching"),
    "hooli": ("voice-agent", "translate", "summaries", "moderation"),
}
_TEAMS = ("platform", "growth", "research", "operations", "core")
_AGENTS = (None, None, "planner", "coder", "reviewer", "retriever", "triage")
_TAGS = ("", "", "", "env:prod", "env:prod", "env:staging", "batch", "batch,env:prod", "eval")
_SESSION = 40  # requests of a caller per session, and per trace below
_TRACE = 6


@dataclass(slots=True)
class _Caller:
    """Somebody who sends requests, the models used, and how many requests there were so far."""

    name: str
    who: dict[str, object]
    models: list["_Choice"]
    seen: int = 0


class _Choice(NamedTuple):
    """A model with its token counts by quantile: log-normal, cut at the context window."""

    model: Model
    prompts: list[int]
    answers: list[int]


def requests(rows: int, seed: int, day: date, days: int = 1) -> Iterator[dict[str, object]]:
    """`rows` requests from `day` (UTC) on, in order of time, in the field names of an import."""
    random = Random(f"spendbeat {rows} {seed} {day} {days}")  # noqa: S311 - made-up traffic
    callers = _callers(random)
    bits = random.getrandbits
    for minute, count in _arrivals(rows, day, days):
        today = day + timedelta(days=minute // _MINUTES)
        moment = f"{today}T{minute // 60 % 24:02}:{minute % 60:02}"
        sprint = _sprint(today)
        step = _MINUTE_US // count
        for n in range(count):
            # One draw of random bits, cut into pieces, is several times as fast as many draws.
            drawn = bits(160)
            offset = n * step + drawn % step
            yield _request(
                drawn >> 32,
                f"{moment}:{offset // 1_000_000:02}.{offset % 1_000_000:06}Z",
                callers[drawn >> 148],
                sprint,
            )


def _request(
    drawn: int,
    started_at: str,
    caller: _Caller,
    sprint: str,
) -> dict[str, object]:
    model, prompts, answers = caller.models[drawn & 63]
    caller.seen += 1
    tokens = prompts[drawn >> 6 & 1023] + (drawn >> 16 & 31)
    output = answers[drawn >> 21 & 1023]
    read = write = write_1h = reasoning = audio_in = audio_out = 0
    status = "success"
    chance = drawn >> 31 & 1023
    if chance < 10:  # noqa: PLR2004 - one in a hundred is refused and uses nothing
        status, tokens, output = "failure", 0, 0
    else:
        share = drawn >> 41 & 127
        if model.cache and chance & 1:
            read = tokens * share >> 7
            if model.cache == "write":
                rest = (tokens - read) >> 1
                write, write_1h = (rest, 0) if share & 7 else (0, rest)
        if model.reasons:
            reasoning = output * share >> 7
        if model.audio:
            audio_in, audio_out = tokens >> 1, output * 3 >> 2
    name = f"{drawn & 0xFFFFFFFFFFFFFFFFFFFFFFFF:024x}"
    return {
        "id": ("msg_01" if model.provider == "anthropic" else "chatcmpl-") + name,
        "started_at": started_at,
        "provider": model.provider,
        "model": model.name,
        "input_tokens": tokens,
        "output_tokens": output,
        "cache_read_tokens": read,
        "cache_write_tokens": write,
        "cache_write_1h_tokens": write_1h,
        "reasoning_tokens": reasoning,
        "audio_input_tokens": audio_in,
        "audio_output_tokens": audio_out,
        "status": status,
        "trace_id": f"{caller.name}-t{caller.seen // _TRACE:x}",
        "session_id": f"{caller.name}-s{caller.seen // _SESSION:x}",
        "end_user": f"cust-{(drawn >> 48 & 4095) * (drawn >> 60 & 63) >> 5}",
        "sprint": sprint,
        **caller.who,
    }


def _callers(random: Random) -> list[_Caller]:
    """_PICKS entries: the callers, each as often as its share, the first ones most."""
    weights = list(accumulate(model.weight for model in MODELS))
    choices = [_choice(model) for model in MODELS]
    callers = []
    for number in range(_CALLERS):
        organization = random.choice(list(_ORGANIZATIONS))
        team = random.choice(_TEAMS)
        # People use a few models most of the time.
        own = [choices[bisect(weights, random.random() * weights[-1])] for _ in range(6)]
        who: dict[str, object] = {
            "organization": organization,
            "project": random.choice(_ORGANIZATIONS[organization]),
            "agent": random.choice(_AGENTS),
            "user_id": f"user-{number:03}",
            "team": team,
            "api_key": f"{organization}-{team}",
            "tags": random.choice(_TAGS),
        }
        models = [own[bisect((24, 40, 50, 56, 61), pick)] for pick in range(64)]
        callers.append(_Caller(f"{random.getrandbits(40):010x}", who, models))
    shares = list(accumulate(1 / (10 + number) for number in range(_CALLERS)))
    return [callers[bisect(shares, (n + 0.5) / _PICKS * shares[-1])] for n in range(_PICKS)]


def _choice(model: Model) -> _Choice:
    normal = NormalDist()
    stretch = [exp(_SIGMA * normal.inv_cdf((n + 0.5) / _LENGTHS)) for n in range(_LENGTHS)]
    return _Choice(
        model,
        [min(int(model.prompt * factor) + 1, _CONTEXT) for factor in stretch],
        [min(int(model.answer * factor), _CONTEXT // 12) for factor in stretch],
    )


def _arrivals(rows: int, day: date, days: int) -> Iterator[tuple[int, int]]:
    """Minutes since `day` and how many requests begin in each; together `rows`."""
    dates = [day + timedelta(days=n) for n in range(days)]
    curve = list(accumulate(_busy(minute, each) for each in dates for minute in range(_MINUTES)))
    before = 0
    for minute, share in enumerate(curve):
        until = round(rows * share / curve[-1])
        if until > before:
            yield minute, until - before
        before = until


def _busy(minute: int, day: date) -> float:
    hour = minute / 60
    office = max(0.0, sin((hour - 6) / 14 * pi)) ** 2  # from 6 to 20, most at 13
    return 0.15 + office * (0.25 if day.weekday() >= _WEEKEND else 1.0)


def _sprint(day: date) -> str:
    """Two weeks, numbered within the ISO year."""
    year, week, _ = day.isocalendar()
    return f"{year}-S{(week + 1) // 2:02}"
