"""Run one measurement: python -m benchmarks NAME [options]."""

import ast
import sys
from importlib import import_module
from pathlib import Path

NAMES = (
    "alerts",
    "budgets",
    "rollup",
    "incremental",
    "insert",
    "import_rate",
    "azure",
    "memory",
    "gateway",
    "litellm_callback",
    "ingest",
    "prices",
    "delivery",
    "forecast",
    "estimate",
    "guard",
    "reconciliation",
    "litellm_guard",
    "reports",
    "events",
    "scrape",
    "dashboard",
    "sizing",
)


def main(argv: list[str]) -> int:
    if argv and argv[0] in NAMES:
        return int(import_module(f"benchmarks.{argv[0]}").main(argv[1:]) or 0)
    print("usage: ./run bench NAME [options]   (./run bench NAME --help)\n")
    for name in NAMES:
        source = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
        says = ast.get_docstring(ast.parse(source)) or ""
        print(f"  {name:16} {says.splitlines()[0]}")
    return 0 if argv in ([], ["--help"], ["-h"]) else 2


sys.exit(main(sys.argv[1:]))
