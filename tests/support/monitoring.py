"""The rules and the dashboard as data, and what their expressions ask for."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import promql_parser
import yaml

FOLDER = Path(__file__).resolve().parents[2] / "monitoring"
# What Grafana puts in before it asks.
_VARIABLES = {"$__rate_interval": "1m"}


class Asked(NamedTuple):
    """A metric and the labels that an expression matches or groups by."""

    metric: str
    labels: frozenset[str]


def load(name: str) -> Any:
    source = (FOLDER / name).read_text(encoding="utf-8")
    return json.loads(source) if name.endswith(".json") else yaml.safe_load(source)


def rules() -> list[dict[str, Any]]:
    return [rule for group in load("rules.yml")["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [panel for panel in load("grafana/spendbeat.json")["panels"] if panel["type"] != "row"]


def expressions() -> dict[str, str]:
    """Name of each rule, or title of each panel with a number, to an expression."""
    found = {rule["alert"]: rule["expr"] for rule in rules()}
    for panel in panels():
        for target in panel["targets"]:
            expression = target["expr"]
            for variable, value in _VARIABLES.items():
                expression = expression.replace(variable, value)
            found[f"{panel['title']} {target['refId']}"] = expression
    return found


def asked(expression: str) -> set[Asked]:
    """Raises ValueError where the expression is not PromQL."""
    found: set[Asked] = set()
    _visit(promql_parser.parse(expression), frozenset(), found)
    return found


def kept(expression: str) -> set[str] | None:
    """Labels that the result can have; None where no aggregation narrows them."""
    return _kept(promql_parser.parse(expression))


def _kept(node: Any) -> set[str] | None:
    if isinstance(node, promql_parser.AggregateExpr):
        if node.modifier is not None:
            return set(node.modifier.labels)
        ranking = str(node.op) in {"topk", "bottomk"}
        return _kept(node.expr) if ranking else set()
    if isinstance(node, promql_parser.BinaryExpr):
        left = _kept(node.lhs)
        return left if left is not None else _kept(node.rhs)
    if isinstance(node, promql_parser.Call):
        inner = [_kept(argument) for argument in node.args]
        return next((labels for labels in inner if labels is not None), None)
    if isinstance(node, promql_parser.ParenExpr | promql_parser.UnaryExpr):
        return _kept(node.expr)
    return None


def _visit(node: Any, grouped: frozenset[str], found: set[Asked]) -> None:
    """grouped: labels that what is around the node asks of all metrics in it."""
    if isinstance(node, promql_parser.VectorSelector):
        matched = {matcher.name for matcher in node.matchers.matchers}
        found.add(Asked(node.name, grouped | matched))
    elif isinstance(node, promql_parser.MatrixSelector):
        _visit(node.vector_selector, grouped, found)
    elif isinstance(node, promql_parser.AggregateExpr):
        if node.modifier is not None:
            grouped = grouped | set(node.modifier.labels)
        _visit(node.expr, grouped, found)
    elif isinstance(node, promql_parser.BinaryExpr):
        _visit(node.lhs, grouped, found)
        _visit(node.rhs, grouped, found)
    elif isinstance(node, promql_parser.Call):
        for argument in node.args:
            _visit(argument, grouped, found)
    elif isinstance(node, promql_parser.ParenExpr | promql_parser.UnaryExpr):
        _visit(node.expr, grouped, found)
