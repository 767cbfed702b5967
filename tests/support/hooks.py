"""Receivers of webhooks: real HTTP and HTTPS servers on loopback, and servers that misbehave."""

import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Reply(NamedTuple):
    status: int
    body: str = ""
    headers: Mapping[str, str] = {}


class Got(NamedTuple):
    """A request as it came. sni: the name in the TLS greeting."""

    path: str
    headers: dict[str, str]
    body: bytes
    sni: str | None


@dataclass
class Hook:
    """replies are given one by one, then 200."""

    port: int = 0
    replies: deque[Reply] = field(default_factory=deque)
    got: list[Got] = field(default_factory=list)

    def url(self, path: str = "/hook", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"


@contextmanager
def hook(context: ssl.SSLContext | None = None) -> Iterator[Hook]:
    """A receiver on 127.0.0.1; with a context it speaks TLS."""
    hook = Hook()
    names: dict[int, str] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            hook.got.append(Got(self.path, headers, body, names.get(id(self.connection))))
            reply = hook.replies.popleft() if hook.replies else Reply(200, "ok")
            text = reply.body.encode()
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(text)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def get_request(self) -> tuple[socket.socket, object]:
            sock, address = super().get_request()
            if context:
                sock = context.wrap_socket(sock, server_side=True)
            return sock, address

        def handle_error(self, *args: object) -> None:
            """A sender that hangs up is what tests are about."""

    def noted(sock: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: object) -> None:
        names[id(sock)] = name or ""

    if context:
        context.sni_callback = noted
    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hook.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def raw(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of a server that does as it likes with each connection, one after the other."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                handle(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # close alone does not wake accept
        listener.close()
        thread.join()
