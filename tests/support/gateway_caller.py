"""A program that makes calls: records one after the other and notes each id that it got back.

python -m tests.support.gateway_caller SPOOL URL NOTES [--threads N] [--calls N] [--pause S]
"""

import argparse
import os
import threading
import time
import uuid

from spendbeat_gateway import Recorder

from tests.support.gateway import CHAT


def make_calls(recorder: Recorder, notes: int, calls: int, pause: float) -> None:
    for _ in range(calls):
        id_ = recorder.record({"id": f"chatcmpl-{uuid.uuid4().hex}", **CHAT}, provider="openai")
        if id_ is not None:
            os.write(notes, f"{id_}\n".encode())
        if pause:
            time.sleep(pause)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("spool")
    parser.add_argument("url")
    parser.add_argument("notes")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--calls", type=int, default=1_000_000_000)
    parser.add_argument("--pause", type=float, default=0.0)
    options = parser.parse_args()
    recorder = Recorder(url=options.url, spool=options.spool)
    notes = os.open(options.notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    threads = [
        threading.Thread(
            target=make_calls, args=(recorder, notes, options.calls, options.pause), daemon=True
        )
        for _ in range(options.threads)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
