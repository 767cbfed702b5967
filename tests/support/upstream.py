"""A provider with OpenAI's API on loopback, which does what the last message asks for."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

USAGE = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}


class Upstream:
    """`hang` answers when released; `fail` with 500; anything else at once.

    A stream of `hang` sends one chunk and then nothing until released.
    """

    def __init__(self, url: str, begun: threading.Semaphore, release: threading.Event) -> None:
        self.url = url
        self.begun = begun  # one for each request of `hang`
        self.release = release


@contextmanager
def upstream() -> Iterator[Upstream]:
    begun, release = threading.Semaphore(0), threading.Event()
    server = _Server(("127.0.0.1", 0), _handler(begun, release))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Upstream(f"http://127.0.0.1:{server.server_port}/v1", begun, release)
    finally:
        release.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Callers that go away are what is tested."""


def _handler(begun: threading.Semaphore, release: threading.Event) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            said = json.loads(self.rfile.read(int(self.headers["content-length"])))
            asked = str(said["messages"][-1]["content"])
            if "fail" in asked:
                self._send(500, {"error": {"message": "asked to fail", "type": "server_error"}})
            elif said.get("stream"):
                self._stream(said, hang="hang" in asked)
            else:
                if "hang" in asked:
                    begun.release()
                    release.wait(60)
                self._send(200, _answer(said))

        def _stream(self, said: dict[str, Any], *, hang: bool) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("connection", "close")
            self.end_headers()
            id_, model = _new_id(), said["model"]
            self._chunk(id_, model, {"role": "assistant", "content": "hello"})
            if hang:
                begun.release()
                release.wait(60)
            self._chunk(id_, model, {}, "stop")
            self._chunk(id_, model, None)
            self.wfile.write(b"data: [DONE]\n\n")
            self.close_connection = True

        def _chunk(self, *chunk: Any) -> None:
            self.wfile.write(b"data: " + json.dumps(_chunk(*chunk)).encode() + b"\n\n")
            self.wfile.flush()

        def _send(self, status: int, said: dict[str, Any]) -> None:
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            pass

    return Handler


def _chunk(
    id_: str, model: str, delta: dict[str, Any] | None, finish: str | None = None
) -> dict[str, Any]:
    """A piece of the answer; without delta, the usage at the end."""
    said = {"id": id_, "object": "chat.completion.chunk", "created": 1_795_000_000, "model": model}
    if delta is None:
        return {**said, "choices": [], "usage": USAGE}
    return {**said, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def _new_id() -> str:
    return f"chatcmpl-{uuid4().hex}"


def _answer(said: dict[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": "hello"}
    return {
        "id": _new_id(),
        "object": "chat.completion",
        "created": 1_795_000_000,
        "model": said["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": USAGE,
    }
