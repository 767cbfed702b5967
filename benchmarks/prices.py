"""Our costs beside LiteLLM's and genai-prices', of random usages; every difference has a reason.

The usages are of models in LiteLLM's price map, with all token classes, prompts around the
thresholds and service tiers; LiteLLM computes in an environment of its own (.venv-litellm). Our
books are two: the bundled library alone, and after `spendbeat prices import` of LiteLLM's map.

    ./run bench prices --usages 1000 --seed 1
"""

import argparse
import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import genai_prices
from click.testing import CliRunner

from benchmarks.price_cases import Case, cases, choose
from benchmarks.price_reasons import DIGIT, EQUAL, OTHER, UNEXPLAINED, Sides, of_data, of_list
from benchmarks.stack import database, server, show
from spend.pricing import Origin, Price, PriceBook, dollars, lists, overrides
from spend.pricing.library import ALIASES
from spend.pricing.usage import Usage, cached_audio
from worker.cli.root import cli
from worker.database import transaction

ROOT = Path(__file__).parents[1]
AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
_MOMENT = (AT - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
_MAP = "lib/python3*/site-packages/litellm/model_prices_and_context_window_backup.json"


@dataclass
class Books:
    """The two books, LiteLLM's map, and by which name it has a model."""

    bundled: PriceBook
    imported: PriceBook
    raw: dict[str, Any]

    def entry(self, case: Case) -> dict[str, Any]:
        """What the map itself says of a model."""
        found: dict[str, Any] = (
            self.raw.get(f"{case.provider}/{case.model}") or self.raw[case.model]
        )
        return found


def by_litellm(environment: Path, wanted: Sequence[Case]) -> list[dict[str, str]]:
    """LiteLLM's costs as text, or its errors."""
    lines = [
        json.dumps(
            {
                **case.usage._asdict(),
                "cached_audio_tokens": cached_audio(case.usage),
                "provider": case.provider,
                "model": case.model,
                "service_tier": case.service_tier or None,
            }
        )
        for case in wanted
    ]
    script = ROOT / "benchmarks" / "litellm_costs.py"
    command = [str(environment / "bin" / "python"), str(script)]
    done = subprocess.run(
        command, input="\n".join(lines), capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"LiteLLM's costs could not be computed:\n{done.stderr[-2000:]}")
    answers: list[dict[str, str]] = json.loads(done.stdout.splitlines()[-1])
    return answers


def by_genai(case: Case) -> Decimal | None:
    """genai-prices' own cost, None where it has none."""
    usage = case.usage
    said = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens + usage.cache_write_1h_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
        output_reasoning_tokens=usage.reasoning_tokens,
        input_audio_tokens=usage.audio_input_tokens,
        output_audio_tokens=usage.audio_output_tokens,
        cache_audio_read_tokens=cached_audio(usage),
    )
    try:
        cost = genai_prices.calc_price(
            said,
            case.model,
            provider_id=ALIASES.get(case.provider, case.provider),
            genai_request_timestamp=AT,
        ).total_price
    except (LookupError, ValueError):
        return None
    return cost.quantize(DIGIT, rounding=ROUND_HALF_EVEN)


def ours(book: PriceBook, case: Case) -> tuple[Decimal | None, Origin]:
    """As an import books it."""
    pico, origin = book.price(
        case.provider,
        case.model,
        _MOMENT,
        case.usage,
        status="success",
        given=None,
        service_tier=case.service_tier or None,
    )
    return None if pico is None else dollars(pico), origin


def price(book: PriceBook, case: Case) -> Price | None:
    """The price behind it."""
    return book.tariff(case.provider, case.model).at(_MOMENT).daily.at(_MOMENT)


def beside_genai(books: Books, case: Case) -> str:
    """Our cost by the bundled library against the library's own."""
    mine, origin = ours(books.bundled, case)
    theirs = by_genai(case)
    if mine == theirs:
        return EQUAL if mine is not None else "both: no price"
    known = price(books.bundled, case)
    return next(
        reason
        for reason, holds in (
            ("local provider: a known zero", origin.source == "local"),
            (
                "tokens without a rate: free there, unpriced here",
                mine is None and _lacks(known, case),
            ),
            ("an empty price list: free there, unpriced here", known is None and not theirs),
            ("service tier sold as another model", known and case.service_tier in known.services),
            (UNEXPLAINED, True),
        )
        if holds
    )


def _lacks(known: Price | None, case: Case) -> bool:
    """True where tokens were used that a price has no rate for."""
    if known is None:
        return False
    rates, used = known.tiers[0].rates, case.usage
    return bool(
        (rates.input is None and used.input_tokens) or (rates.output is None and used.output_tokens)
    )


def beside_litellm(books: Books, case: Case, said: dict[str, str]) -> tuple[str, str]:
    """By our book after the import, and by the bundled library."""
    listed = price(books.imported, case)
    assert listed is not None
    imported, _ = ours(books.imported, case)
    after = of_list(Sides(case, listed, books.entry(case)), imported, said)
    if after == UNEXPLAINED and case.model.startswith(f"{case.provider}/"):
        namesake = case._replace(model=case.model.removeprefix(f"{case.provider}/"))
        other = price(books.imported, namesake)
        cost, _ = ours(books.imported, namesake)
        if (
            other
            and of_list(Sides(namesake, other, books.entry(namesake)), cost, said) != UNEXPLAINED
        ):
            after = "LiteLLM: takes the model for its namesake without the provider"
    bundled, _ = ours(books.bundled, case)
    if "cost" in said and bundled == Decimal(said["cost"]).quantize(DIGIT):
        return after, EQUAL
    if bundled is not None and bundled == imported:
        return after, after
    tariff = books.bundled.tariff(case.provider, case.model)
    others = [p for segment in tariff.segments for p in segment.daily.prices if p is not None]
    before = of_data(case, price(books.bundled, case), listed, others)
    if before == EQUAL or after == UNEXPLAINED:
        return after, after
    return after, before if after == EQUAL else f"{before}; {after}"


def main(argv: list[str]) -> int:
    """1 where a difference has no reason."""
    parser = argparse.ArgumentParser(prog="./run bench prices", description=__doc__)
    parser.add_argument("--usages", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--models", type=int, default=5, help="of each provider")
    parser.add_argument("--litellm", type=Path, default=ROOT / ".venv-litellm")
    options = parser.parse_args(argv)
    try:
        source = next(options.litellm.glob(_MAP))
    except StopIteration:
        sys.exit(f"There is no LiteLLM in {options.litellm}; './run test' makes that environment.")
    draw = random.Random(options.seed)
    entries, _ = lists.read(source)
    chosen = choose(entries, draw, options.models)
    wanted = list(cases(chosen, draw, options.usages))
    answers = by_litellm(options.litellm, wanted)
    with server() as url, database(url):
        command = ["prices", "import", str(source), "--list", "litellm", "--from", "2020-01-01"]
        done = CliRunner().invoke(cli, command, catch_exceptions=False)
        print(done.output.splitlines()[0])
        with transaction("spendbeat_reader") as session:
            imported = PriceBook(overrides.load(session))
    books = Books(PriceBook(), imported, json.loads(source.read_text(encoding="utf-8")))
    counts: dict[str, Counter[str]] = {name: Counter() for name in COMPARISONS}
    for case, said in zip(wanted, answers, strict=True):
        after, before = beside_litellm(books, case, said)
        found = (after, before, beside_genai(books, case))
        for name, reason in zip(COMPARISONS, found, strict=True):
            counts[name][reason] += 1
            if reason.startswith(UNEXPLAINED):
                print(
                    f"{name}: {case} {said}", ours(books.imported, case), ours(books.bundled, case)
                )
    return report(chosen, wanted, counts)


COMPARISONS = (
    "LiteLLM, our book after the import of its map",
    "LiteLLM, our book of the bundled library",
    "genai-prices, our book of the bundled library",
)


def report(chosen: Sequence[Any], wanted: Sequence[Case], counts: dict[str, Counter[str]]) -> int:
    """Print the counts; 1 where something is unexplained."""
    used = [max(0, *(getattr(c.usage, name) for c in wanted)) > 0 for name in Usage._fields]
    print(
        f"{len(wanted):,} usages of {len(chosen)} models of {len({c.provider for c in chosen})}"
        f" providers, {sum(used)} of {len(used)} token classes"
    )
    rates = Counter[str]()
    for name, found in counts.items():
        reasons = Counter[str]()
        for reason, count in found.items():
            first, _, rest = reason.partition("; ")
            if first.startswith(OTHER):  # which rates differ has a table of its own
                first, _, classes = first.partition(": ")
                rates.update(dict.fromkeys(classes.split(", "), count))
            reasons[f"{first}; {rest}" if rest else first] += count
        rows = [[reason, f"{count:,}"] for reason, count in reasons.most_common()]
        show(f"Beside {name}", ["reason", "usages"], rows)
    rows = [[rate, f"{count:,}"] for rate, count in rates.most_common()]
    show("Other price data, by what differs", ["rate", "usages"], rows)
    unexplained = sum(found[UNEXPLAINED] for found in counts.values())
    print(f"unexplained differences: {unexplained}")
    return 1 if unexplained else 0
