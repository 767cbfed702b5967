"""Our costs beside those of the real LiteLLM and of genai-prices."""

import os
import subprocess
import sys

from tests.support.litellm import python
from tests.support.programs import ROOT


def test_a_thousand_costs_equal_litellms_or_differ_for_a_proved_reason(
    postgres_server: str,
) -> None:
    """120 models of 24 providers, all token classes, prompts around thresholds, service tiers."""
    assert python()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "prices", "--usages", "1000", "--seed", "2"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": postgres_server},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1,000 usages of 120 models of 24 providers, 8 of 8 token classes" in done.stdout
    assert "unexplained differences: 0" in done.stdout
