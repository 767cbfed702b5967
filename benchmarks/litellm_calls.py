"""Mock calls of LiteLLM's SDK with our callback and with an empty one in turns; prints figures.

Runs in LiteLLM's environment, started by benchmarks/litellm_callback.py. Both callbacks run in the
same process, a block of calls each, so that a busy machine does the same to both.
"""

import json
import sys
import time
from collections.abc import Callable
from statistics import median

import litellm
from litellm.integrations.custom_logger import CustomLogger
from spendbeat_gateway import default_recorder
from spendbeat_gateway.litellm import callback

ASK = [{"role": "user", "content": "hello"}]
SAID = {"tags": ["project:search"], "spend_logs_metadata": {"sprint": "s1"}}


class Empty(CustomLogger):
    """The same hooks, doing nothing."""

    def log_pre_api_call(self, model: object, messages: object, kwargs: object) -> None:
        pass

    def log_success_event(self, kwargs: object, **_: object) -> None:
        pass


class Ended(CustomLogger):
    """Counts; the last in the list, so that all before it have run."""

    calls = 0
    seen: object = None

    def log_success_event(self, kwargs: object, **_: object) -> None:
        self.calls += 1
        self.seen = kwargs


ended = Ended()


def block(logger: CustomLogger, calls: int) -> float:
    """CPU seconds of so many calls, until the last callback has run."""
    litellm.callbacks = [logger, ended]
    until = ended.calls + calls
    cpu = time.process_time()
    for _ in range(calls):
        litellm.completion(model="gpt-4o", messages=ASK, mock_response="hi", metadata=dict(SAID))
    while ended.calls < until:
        time.sleep(0.001)
    return time.process_time() - cpu


def alone(run: Callable[[], object], times: int) -> float:
    """CPU seconds of one, the median of ten rounds."""
    rounds = []
    for _ in range(10):
        cpu = time.thread_time()
        for _ in range(times // 10):
            run()
        rounds.append((time.thread_time() - cpu) / (times // 10))
    return median(rounds)


def main(calls: int) -> dict[str, float]:
    litellm.suppress_debug_info = True
    size, empty = 100, Empty()
    block(empty, size)
    block(callback, size)
    without, added = [], []
    for _ in range(calls // size):
        without.append(block(empty, size) / size)
        added.append(block(callback, size) / size - without[-1])
    arrived = default_recorder().flush(30)
    hook = {"kwargs": ended.seen, "response_obj": None, "start_time": None, "end_time": None}
    begin: dict[str, object] = {"model": "", "messages": [], "kwargs": ended.seen}

    def both() -> None:
        callback.log_pre_api_call(**begin)
        callback.log_success_event(**hook)

    return {
        "arrived": arrived,
        "without_us": median(without) * 1e6,
        "added_us": median(added) * 1e6,
        "alone_us": alone(both, calls) * 1e6,
    }


sys.stdout.write(json.dumps(main(int(sys.argv[1]))))
sys.stdout.flush()
