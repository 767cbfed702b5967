"""Refusals, in words."""

from decimal import Decimal

from spendbeat_gateway.guard import amounts
from spendbeat_gateway.guard.answers import Refusal
from spendbeat_gateway.guard.rules import Matched


def from_script(matched: Matched, words: list[str], nano: int, now: float) -> Refusal:
    """Of what reserve.lua answers: its words."""
    if words[0] == "rate":
        rate = matched.rates[words[1]]
        return Refusal(
            reason="rate",
            budget=rate.name,
            retry_after=int(words[2]) / 1000,
            message=f"Rate limit {rate.name!r} allows {rate.per_minute} requests a minute.",
        )
    position = int(words[1]) - 1
    if words[0] == "throttle":
        budget = matched.budgets[position]
        return Refusal(
            reason="throttle",
            budget=budget.name,
            ends=matched.ends(position),
            retry_after=int(words[2]) / 1000,
            message=f"Budget {budget.name!r} is above its soft limit and allows"
            f" {budget.per_minute} requests a minute.",
        )
    left = amounts.dollars(max(0, int(words[2])))
    limit = amounts.dollars(int(words[3])) if words[3] else None
    budget, ends = matched.budgets[position], matched.ends(position)
    until = f" until {ends:%Y-%m-%d %H:%M} UTC" if ends else ""
    of = f" of ${_plain(limit)}" if limit is not None else ""
    return Refusal(
        reason="budget",
        budget=budget.name,
        left=left,
        limit=limit,
        ends=ends,
        retry_after=max(0.0, ends.timestamp() - now) if ends else None,
        message=f"Budget {budget.name!r} has ${_plain(left)}{of} left{until}; this call may cost"
        f" ${_plain(amounts.dollars(nano))}.",
    )


def unpriced(matched: Matched, model: str) -> Refusal | None:
    budget = matched.blocks_unpriced
    if budget is None:
        return None
    return Refusal(
        reason="unpriced",
        budget=budget.name,
        message=f"The price of {model!r} is not known, and budget {budget.name!r} lets through only"
        " what it can price.",
    )


def unreachable(budget: str | None, *, used_up: bool, retry_after: float) -> Refusal:
    which = f"budget {budget!r}" if budget else "this process"
    why = "the allowance for that is used up" if used_up else "nothing passes meanwhile"
    return Refusal(
        reason="unreachable",
        budget=budget,
        retry_after=retry_after,
        message=f"Redis, which knows what is spent, is away; for {which} {why}.",
    )


def cold(budget: str | None, *, used_up: bool, retry_after: float) -> Refusal:
    which = f"of budget {budget!r}" if budget else "of this call's budgets"
    why = ", and the allowance for that is used up" if used_up else ""
    return Refusal(
        reason="cold",
        budget=budget,
        retry_after=retry_after,
        message=f"Redis does not know yet what {which} is spent{why}; Spendbeat has been asked.",
    )


def _plain(amount: Decimal) -> str:
    text = f"{amount:f}"
    if "." in text:
        whole, _, part = text.partition(".")
        text = f"{whole}.{part.rstrip('0').ljust(2, '0')}"
    return text
