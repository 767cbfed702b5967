"""A stand-in for the service's ingest routes: a real HTTP server that keeps each id once."""

import gzip
import json
import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Said(NamedTuple):
    """An answer to give instead of 200."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = {}


class Asked(NamedTuple):
    path: str
    headers: dict[str, str]
    events: list[dict[str, Any]]


@dataclass
class Receiver:
    """answers are given one by one; bad holds ids to refuse, named or, with `mute`, not."""

    port: int = 0
    answers: deque[Said] = field(default_factory=deque)
    bad: set[str] = field(default_factory=set)
    mute: bool = False
    token: str | None = None
    asked: list[Asked] = field(default_factory=list)
    times: Counter[str] = field(default_factory=Counter)  # how often an id came and was taken
    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ids(self) -> set[str]:
        with self.lock:
            return set(self.events)

    def answer(self, asked: Asked) -> Said:
        with self.lock:
            self.asked.append(asked)
            if self.token and asked.headers.get("Authorization") != f"Bearer {self.token}":
                return Said(401, {"error": {"message": "no such token"}})
            if self.answers:
                return self.answers.popleft()
            problems = [
                {"index": index, "id": event["id"], "reason": "made to fail"}
                for index, event in enumerate(asked.events)
                if event["id"] in self.bad
            ]
            if problems:
                named = {} if self.mute else {"problems": problems}
                return Said(422, {"error": {"message": "bad items"}, **named})
            for event in asked.events:
                self.times[event["id"]] += 1
                self.events[event["id"]] = event
            return Said(200, {"imported": len(asked.events)})

    @contextmanager
    def up(self) -> Iterator["Receiver"]:
        """Listens; the port stays the same when it goes down and up again."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                found = json.loads(body)
                events = found["events"] if isinstance(found, dict) else found
                said = receiver.answer(Asked(self.path, dict(self.headers), events))
                text = json.dumps(said.body).encode()
                self.send_response(said.status)
                for name, value in said.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *args: object) -> None:
                """A killed sender is what the tests are about."""

        server = Server(("127.0.0.1", self.port), Handler)
        server.daemon_threads = True
        self.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
