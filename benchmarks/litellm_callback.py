"""CPU that our callback adds to a call of LiteLLM's SDK, beside the same calls with an empty one.

Added is the median, over blocks of 100 calls, of the whole process's CPU beyond that of the block
before it: shipping is in it, and the noise of the 2 ms that LiteLLM itself needs. Alone is the time
of the calling thread in our two hooks with the same event.

    ./run test --collect-only -q    (makes LiteLLM's environment)
    ./run bench litellm_callback --calls 2000 --below 100
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gateway import RECEIVER
from tests.support.litellm import environment, python


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--below", type=float, help="exit code 1 from this CPU per call on (us)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    found = measure(options.calls)
    if options.json:
        print(json.dumps(found))
    else:
        print(f"{options.calls:,} calls; microseconds of CPU per call\n")
        print(f"LiteLLM with an empty callback  {found['without_us']:8.0f}")
        print(f"added by ours                   {found['added_us']:8.0f}")
        print(f"our two hooks alone             {found['alone_us']:8.0f}")
    return 1 if options.below and found["alone_us"] >= options.below else 0


def measure(calls: int) -> dict[str, float]:
    program = Path(__file__).with_name("litellm_calls.py")
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [sys.executable, "-c", RECEIVER], stdout=subprocess.PIPE, text=True
        ) as receiver,
    ):
        assert receiver.stdout is not None
        url = f"http://127.0.0.1:{receiver.stdout.readline().strip()}"
        try:
            done = subprocess.run(
                [python(), str(program), str(calls)],
                env={**os.environ, **environment(url, "", Path(folder))},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
        finally:
            receiver.kill()
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    if not found["arrived"]:
        sys.exit("not all events arrived")
    return found
