"""Real traffic: an hour of LLM inference in Azure, imported twice and checked to the last digit.

Takes the folder with azure_llm_inference_2023_conv.csv and azure_llm_inference_2023_code.csv.
Source: Azure Public Dataset, "Azure LLM inference trace 2023", CC-BY 4.0,
https://github.com/Azure/AzurePublicDataset; Patel et al., "Splitwise: Efficient generative LLM
inference using phase splitting", ISCA 2024. The traces name no model: gpt-4o and gpt-4o-mini at
their list prices stand in.

Writes into the database that DATABASE_URL names, which must be migrated; imports only add rows.

    python benchmarks/azure.py ../shared/data
"""

import argparse
import csv
import sys
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import text

from spend.capture import ImportSummary, import_source
from spend.capture.files import opened
from worker.database import engine, transaction

# Dollars per million input and output tokens: OpenAI's list prices, typed in by hand, so that
# the sum below shares no code and no data with what it checks.
TRACES = {
    "conv": ("gpt-4o", Decimal("2.50"), Decimal("10.00")),
    "code": ("gpt-4o-mini", Decimal("0.15"), Decimal("0.60")),
}
COLUMNS = {
    "started_at": "TIMESTAMP",
    "input_tokens": "ContextTokens",
    "output_tokens": "GeneratedTokens",
}
BOOKED = """
SELECT count(*), coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0),
  coalesce(sum(cost_usd), 0)
FROM cost_logs AS c JOIN attributions AS a ON a.id = c.attribution_id
WHERE c.provider = 'azure' AND a.project = :project
"""


def trace(folder: Path, name: str) -> Path:
    return folder / f"azure_llm_inference_2023_{name}.csv"


def expected(folder: Path, name: str) -> tuple[int, int, int, Decimal]:
    """Rows, tokens and cost, by nothing but csv and Decimal."""
    _, per_input, per_output = TRACES[name]
    rows, tokens, output, cost = 0, 0, 0, Decimal(0)
    with trace(folder, name).open(newline="") as file:
        for row in csv.DictReader(file):
            a, b = int(row["ContextTokens"]), int(row["GeneratedTokens"])
            rows, tokens, output = rows + 1, tokens + a, output + b
            cost += (a * per_input + b * per_output) / 1_000_000
    return rows, tokens, output, cost


def load(folder: Path, name: str) -> ImportSummary:
    constants = {"provider": "azure", "model": TRACES[name][0], "project": name}
    with opened(str(trace(folder, name)), maps=COLUMNS, constants=constants) as found:
        return import_source(engine(), found.source, zone=ZoneInfo("UTC"))


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(argv)
    wrong = False
    for name in TRACES:
        for turn in ("first", "again"):
            done = load(options.folder, name)
            print(
                f"{name} {turn}: {done.imported:,} imported, {done.known:,} known,"
                f" {done.rejected} rejected, {done.unpriced} unpriced, {done.seconds:.2f} s"
            )
        wrong |= done.imported != 0
        with transaction("spendbeat_reader") as session:
            booked = tuple(session.execute(text(BOOKED), {"project": name}).one())
        computed = expected(options.folder, name)
        wrong |= booked != computed
        print(
            f"  booked   {booked[0]:,} requests, {booked[1]:,} + {booked[2]:,} tokens, ${booked[3]}"
        )
        print(f"  computed {computed[0]:,} requests, {computed[1]:,} + {computed[2]:,} tokens,"
              f" ${computed[3]:.12f}")  # fmt: skip
    print("difference: " + ("FOUND" if wrong else "none"))
    sys.exit(wrong)


if __name__ == "__main__":
    main()
