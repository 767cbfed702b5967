"""Beat looks into LiteLLM's database only where one is named."""

import os
import subprocess
import sys

import pytest

from tests.support.programs import ROOT

SHOW = "import celeryconfig as c; print(c.beat_schedule.get('litellm', {}).get('schedule'))"


@pytest.mark.parametrize(
    ("variables", "schedule"),
    [
        ({}, "None"),
        ({"LITELLM_DATABASE_URL": ""}, "None"),
        ({"LITELLM_DATABASE_URL": "postgresql://db/litellm"}, "60.0"),
        (
            {"LITELLM_DATABASE_URL": "postgres://db/x", "SPENDBEAT_LITELLM_SECONDS": "5"},
            "5.0",
        ),
    ],
)
def test_the_schedule_has_the_sync_where_a_database_is_named(
    variables: dict[str, str], schedule: str
) -> None:
    kept = {name: v for name, v in os.environ.items() if "LITELLM" not in name}
    done = subprocess.run(
        [sys.executable, "-c", SHOW],
        cwd=ROOT, env={**kept, **variables}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == schedule
