"""Our callback under LiteLLM's hands when what it is given is odd; prints what it made of it."""

import asyncio
import json
import sys
from typing import Any

from spendbeat_gateway import Recorder, faults
from spendbeat_gateway import litellm_callback as ours

ODD: list[Any] = [None, {}, {"standard_logging_object": 7}, {"litellm_call_id": []}, [], "x"]


def main(folder: str) -> dict[str, Any]:
    recorder = Recorder(url="http://127.0.0.1:9", spool=folder)
    callback = ours.Callback(recorder)
    for kwargs in ODD:
        said = {"kwargs": kwargs, "response_obj": None, "start_time": None, "end_time": None}
        callback.log_success_event(**said)
        callback.log_failure_event(**said)
        asyncio.run(callback.async_log_success_event(**said))
        asyncio.run(callback.async_log_failure_event(**said))
        callback.log_pre_api_call(model=None, messages=None, kwargs=kwargs)
    swallowed = faults.count

    def begin(call: str) -> None:
        callback.log_pre_api_call(model="m", messages=[], kwargs={"litellm_call_id": call})

    for call in ("read", "left", "also left"):
        begin(call)
    callback.log_success_event(
        kwargs={"litellm_call_id": "read"}, response_obj=None, start_time=None, end_time=None
    )
    before = callback.calls()
    ours._LONGEST = 0.0  # an hour has passed
    after = callback.calls()
    return {
        "swallowed": swallowed,
        "waiting": recorder.stats().waiting,
        "before": [before.ended, before.open, before.unfinished],
        "after": [after.ended, after.open, after.unfinished],
    }


sys.stdout.write(json.dumps(main(sys.argv[1])))
