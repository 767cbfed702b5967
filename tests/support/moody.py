"""A receiver of webhooks that fails at random: 500, reset, hangs, slow, taken without an answer."""

import json
import random
import socket
import struct
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# What it does, and how often; the rest is answered with 200 at once.
MOODS = {"500": 0.12, "reset": 0.08, "hang": 0.002, "slow": 0.05, "unanswered": 0.05}
_NO_LINGER = struct.pack("ii", 1, 0)  # closing sends a reset
_SLOW_SECONDS = 0.3
_HANG_SECONDS = 16.0  # longer than a sender waits


Read = Callable[[dict[str, Any]], tuple[str, int]]


def numbered(data: dict[str, Any]) -> tuple[str, int]:
    """The lane and the number that a message of the storm says itself."""
    return data["lane"], data["number"]


@dataclass
class Moody:
    """read: what the data of a message says about its lane and its number in it.

    came: per lane, the numbers and ids of what was taken, in order, with those that came again.

    shown: how often each mood was. unanswered: how often something was taken without an answer.
    """

    moods: Mapping[str, float] = field(default_factory=lambda: MOODS)
    chance: random.Random = field(default_factory=random.Random)
    read: Read = numbered
    port: int = 0
    address: str = "127.0.0.1"
    came: dict[str, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    shown: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def ids(self) -> list[str]:
        """Of all that was taken, each as often as it came."""
        with self.lock:
            return [found for lane in self.came.values() for _, found in lane]

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}/hook"

    def mood(self) -> str:
        with self.lock:
            shares = [*self.moods.values(), 1 - sum(self.moods.values())]
            (name,) = self.chance.choices([*self.moods, "ok"], shares)
            self.shown[name] += 1
            return name

    def take(self, message_id: str, body: bytes) -> None:
        data = json.loads(body)["data"]
        with self.lock:
            lane, number = self.read(data)
            self.came[lane].append((number, message_id))

    def note_silence(self, *, taken: bool) -> None:
        with self.lock:
            self.unanswered += taken


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"

    def do_POST(self) -> None:
        receiver = self.server.moody
        message_id = self.headers["webhook-id"]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        mood = receiver.mood()
        if mood in {"hang", "slow"}:
            receiver.over.wait(_HANG_SECONDS if mood == "hang" else _SLOW_SECONDS)
        if mood in {"ok", "slow", "unanswered"}:
            receiver.take(message_id, body)
        if mood in {"reset", "hang", "unanswered"}:
            receiver.note_silence(taken=mood == "unanswered")
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            return
        self.send_response(500 if mood == "500" else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True
    moody: Moody

    def shutdown_request(self, request: Any) -> None:
        # The base class shuts down in an orderly way first, and a reset is not orderly.
        with suppress(OSError):
            if not request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER):
                request.shutdown(socket.SHUT_WR)
        request.close()

    def handle_error(self, *args: object) -> None:
        """A killed sender is what the storm is about."""


@contextmanager
def moody(
    moods: Mapping[str, float] = MOODS,
    seed: int = 1,
    read: Read = numbered,
    address: str = "127.0.0.1",
) -> Iterator[Moody]:
    """Listens on loopback, unless there is another address."""
    receiver = Moody(moods, random.Random(seed), read, address=address)
    server = _Server((address, 0), _Handler)
    server.moody = receiver
    receiver.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield receiver
    finally:
        receiver.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def out_of_order(receiver: Moody) -> list[str]:
    """Lanes in which something came after what is behind it."""
    with receiver.lock:
        return [
            lane
            for lane, came in receiver.came.items()
            if [number for number, _ in came] != sorted(number for number, _ in came)
        ]
