"""What LiteLLM's generic API logger does when its receiver is slow or refuses; prints what arrived.

Needs no network but a receiver in this process, on loopback.
"""

import asyncio
import json
import sys
from typing import Any

from litellm.integrations.generic_api.generic_api_callback import GenericAPILogger


class Receiver:
    """Answers with each of `statuses` in turn, then 200; takes `seconds` for an answer."""

    def __init__(self, statuses: list[int], seconds: float) -> None:
        self.statuses = statuses
        self.seconds = seconds
        self.asked = 0
        self.began = asyncio.Event()
        self.taken: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].split()[0])
        events = json.loads(await reader.readexactly(length))
        self.asked += 1
        self.began.set()
        await asyncio.sleep(self.seconds)
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            self.taken += [event["id"] for event in events]
        writer.write(f"HTTP/1.1 {status} said\r\ncontent-length: 2\r\n\r\n{{}}".encode())
        await writer.drain()
        writer.close()


async def case(
    statuses: list[int], seconds: float = 0.0, *, meanwhile: bool = False, **options: Any
) -> dict[str, Any]:
    """Three events; with `meanwhile` a fourth one while the three are on their way."""
    receiver = Receiver(statuses, seconds)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    logger = GenericAPILogger(endpoint=f"http://127.0.0.1:{port}/", retry_delay=0.01, **options)

    async def log(name: str) -> None:
        payload = {"standard_logging_object": {"id": name}}
        await logger.async_log_success_event(payload, None, None, None)

    for name in ("a", "b", "c"):
        await log(name)
    flushing = asyncio.create_task(logger.flush_queue())
    if meanwhile:
        await receiver.began.wait()
        await log("d")
    await flushing
    await logger.flush_queue()
    server.close()
    return {"taken": receiver.taken, "asked": receiver.asked}


async def main() -> dict[str, Any]:
    return {
        "503": await case([503]),
        "503, retries": await case([503], max_retries=3),
        "503 for long, retries": await case([503] * 9, max_retries=3),
        "422, retries": await case([422], max_retries=3),
        "429, retries": await case([429], max_retries=3),
        "timeout": await case([], 0.5, timeout=0.1),
        "timeout, retries": await case([], 0.5, timeout=0.1, max_retries=3),
        "meanwhile": await case([], 0.2, meanwhile=True),
    }


sys.stdout.write(json.dumps(asyncio.run(main())))
