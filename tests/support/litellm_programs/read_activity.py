"""Reads an answer in LiteLLM's shape through its own models, and prints what they understood."""

import json
import sys
from pathlib import Path

from litellm.types.proxy.management_endpoints.common_daily_activity import (
    SpendAnalyticsPaginatedResponse,
    SpendMetrics,
)
from pydantic import BaseModel


def known(fields: dict[str, object], model: type[BaseModel]) -> None:
    """Every name but ours is one of LiteLLM's: a misspelt one would be taken for a default."""
    strange = fields.keys() - model.model_fields.keys() - {"unpriced"}
    if strange:
        raise SystemExit(f"{model.__name__} has no {sorted(strange)}")


def main() -> None:
    said = json.loads(Path(sys.argv[1]).read_text())
    read = SpendAnalyticsPaginatedResponse.model_validate(said)
    for day in said["results"]:
        known(day["metrics"], SpendMetrics)
        known(day["breakdown"], type(read.results[0].breakdown))
        for part in day["breakdown"].values():
            for one in part.values():
                known(one["metrics"], SpendMetrics)
    totals = {name: value for name, value in said["metadata"].items() if name != "total_unpriced"}
    known(totals, type(read.metadata))
    entities = {name for day in read.results for name in day.breakdown.entities}
    models = [model for day in read.results for model in day.breakdown.models.values()]
    said = {
        "spend": read.metadata.total_spend,
        "requests": read.metadata.total_api_requests,
        "days": {str(day.date): day.metrics.spend for day in read.results},
        "users": sorted(entities),
        "keys": sorted({key for model in models for key in model.api_key_breakdown}),
    }
    sys.stdout.write(json.dumps(said) + "\n")


main()
