"""Estimates before the call beside what calls cost, on real traffic, and the CPU that one takes.

Lengths of prompts and answers are those of the traces (see `./run bench azure --help`), which hold
no texts: each request gets a piece of English prose (this project's documents) or of Python (the
standard library) with as many tokens as its own prompt had. OpenAI's tokens are counted by
tiktoken, Claude's by the tokenizer that Anthropic once published, and each request costs what
booking says of these tokens. max_tokens is not in the traces: it is taken as exactly what was
generated, as the next power of two, and as one for all. "bytes" is the bound where there is no
tokenizer.

Fails where a request costs more than was estimated. --azure: the folder of the traces; --claude:
how many of the requests are counted by Claude's tokenizer, which is slow.

    ./run bench estimate --azure ../shared/data
"""

import argparse
import csv
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from statistics import median, quantiles

from spendbeat_gateway.guard import encodings
from spendbeat_gateway.guard.estimate import Limits, estimate
from spendbeat_gateway.guard.rates import Price, parse
from spendbeat_gateway.guard.tokens import most

from benchmarks.azure import trace
from benchmarks.stack import show
from spend.enforcement.prices import text_of
from spend.pricing import PriceBook, Usage, dollars
from tests.support import tokenizers

ROOT = Path(__file__).parents[1]
AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
_MOMENT = int(AT.timestamp()) * 1_000_000
# What OpenAI's own counting rule adds to one message of a user: 3, its role, 3 for the answer.
AROUND = 7
ONE_FOR_ALL = 2048
LIMITS: dict[str, Callable[[int], int]] = {
    "exact": lambda generated: generated,
    "power of two": lambda generated: 1 << max(4, (generated - 1).bit_length()),
    f"{ONE_FOR_ALL} for all": lambda _: ONE_FOR_ALL,
}


@dataclass(frozen=True)
class Request:
    """One of the trace: its text, the tokens of that, and of the answer."""

    text: str
    tokens: int
    generated: int


@dataclass(frozen=True)
class Case:
    """Who counts what: `tokenizer` is what the estimate has, None for the bound."""

    provider: str
    model: str
    price: Price
    book: PriceBook

    def actual(self, request: Request) -> Decimal:
        usage = Usage(request.tokens + AROUND, request.generated)
        pico, _ = self.book.price(
            self.provider, self.model, _MOMENT, usage, status="success", given=None
        )
        assert pico is not None
        return dollars(pico)

    def estimated(self, request: Request, max_tokens: int) -> Decimal:
        messages = [{"role": "user", "content": request.text}]
        limits = Limits(max_tokens=max_tokens)
        found = estimate(
            self.price, self.provider, self.model, messages, limits, now=AT.timestamp()
        )
        assert found.upper_bound
        assert found.dollars is not None
        return found.dollars


def prose() -> str:
    files = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def code() -> str:
    files = sorted(Path(os.__file__).parent.glob("*.py"))
    return "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in files)


def requests(folder: Path, name: str, text: str, draw: random.Random) -> Iterator[Request]:
    """The requests of a trace, with texts of the length that they had."""
    encoding = encodings.load("o200k_base")
    assert encoding is not None
    tokens = encoding.encode_ordinary(text)
    with trace(folder, name).open(newline="") as file:
        for row in csv.DictReader(file):
            wanted = int(row["ContextTokens"])
            begin = draw.randrange(max(1, len(tokens) - wanted))
            piece = encoding.decode(tokens[begin : begin + wanted])
            counted = len(encoding.encode_ordinary(piece))
            yield Request(piece, counted, int(row["GeneratedTokens"]))


def case(book: PriceBook, provider: str, model: str) -> Case:
    return Case(provider, model, parse(text_of(book.tariff(provider, model), 0)), book)


def compare(what: str, how: str, one: Case, some: Sequence[Request]) -> tuple[list[object], ...]:
    """A row for each way to set max_tokens: share of requests within, and how tight."""
    rows = []
    for name, limit in LIMITS.items():
        pairs = [(one.estimated(r, limit(r.generated)), one.actual(r)) for r in some]
        within = sum(most >= cost for most, cost in pairs)
        ratios = [most / cost for most, cost in pairs]
        total = sum(most for most, _ in pairs) / sum(cost for _, cost in pairs)
        rows.append([
            what, one.model, how, name, len(pairs), f"{100 * within / len(pairs):.2f} %",
            f"{median(ratios):.2f}", f"{quantiles(ratios, n=10)[-1]:.2f}", f"{total:.2f}",
        ])  # fmt: skip
    return tuple(rows)


def without_tokenizer(work: Callable[[], tuple[list[object], ...]]) -> tuple[list[object], ...]:
    """What a process says that has no tokenizer."""
    before = dict(encodings._loaded)  # noqa: SLF001 - the state of such a process
    encodings._loaded.update(dict.fromkeys(before))  # noqa: SLF001 - likewise
    try:
        return work()
    finally:
        encodings._loaded.update(before)  # noqa: SLF001 - likewise


def by_claude(some: Sequence[Request]) -> list[Request]:
    """The same requests with Claude's tokens."""
    with tokenizers.claude() as claude:
        return [Request(r.text, claude.count(r.text), r.generated) for r in some]


def times(book: PriceBook) -> None:
    one, other = case(book, "openai", "gpt-4o"), case(book, "anthropic", "claude-sonnet-4-5")
    english, mixed = prose(), "Grüße, 東京! " * 20_000
    rows = []
    for size in (1_000, 100_000, 1_000_000):
        for name, text in (("English", english), ("mixed scripts", mixed)):
            part = (text * (size // len(text) + 1))[:size]
            while len(part.encode()) > size:
                part = part[: len(part) - (len(part.encode()) - size + 3) // 4]
            counted = microseconds(lambda part=part: one.estimated(Request(part, 0, 0), 100))
            bounded = microseconds(lambda part=part: other.estimated(Request(part, 0, 0), 100))
            rows.append([f"{size // 1000:,} kB", name, f"{counted:,.0f}", f"{bounded:,.0f}"])
    show("CPU of one estimate (us, median)", ("prompt", "text", "tiktoken", "bytes"), rows)


def microseconds(work: Callable[[], object]) -> float:
    taken = []
    end = time.thread_time() + 0.5
    while not taken or time.thread_time() < end:
        begin = time.thread_time()
        work()
        taken.append((time.thread_time() - begin) * 1e6)
    return median(taken)


def main(argv: Sequence[str] | None = None) -> int:
    """1 where an estimate was too low."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--azure", type=Path, metavar="FOLDER")
    parser.add_argument("--claude", type=int, default=2000, metavar="REQUESTS")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    os.environ["TIKTOKEN_CACHE_DIR"] = str(tokenizers.folder())
    book, draw = PriceBook(), random.Random(options.seed)
    rows: list[list[object]] = []
    if options.azure:
        for name, text, model in (("conv", prose(), "gpt-4o"), ("code", code(), "gpt-4o-mini")):
            some = list(requests(options.azure, name, text, draw))
            gpt, sonnet = case(book, "openai", model), case(book, "anthropic", "claude-sonnet-4-5")
            rows += compare(name, "tiktoken", gpt, some)
            rows += without_tokenizer(lambda: compare(name, "bytes", gpt, some))  # noqa: B023 - at once
            few = by_claude(draw.sample(some, min(options.claude, len(some))))
            rows += compare(name, "bytes", sonnet, few)
            wrong = sum(most(r.text) < r.tokens for r in [*some, *few])
            print(f"{name}: {len(some) + len(few):,} texts, {wrong} with more tokens than bytes")
        columns = (
            "trace", "model", "tokens", "max_tokens", "requests", "estimate >= cost",
            "median ratio", "p90", "of all",
        )  # fmt: skip
        show("Estimates beside costs", columns, rows)
    times(book)
    return int(any(row[5] != "100.00 %" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
