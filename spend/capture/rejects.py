import csv
from pathlib import Path
from typing import IO

from spend.errors import BadInputError

MAX_RAW = 10_000


class Rejects:
    """The rows that were not booked: a CSV file with line, reason and what was read.

    The file is made when there is something to write, readable only by its owner: it holds
    whatever the input held. An older file of that name is replaced then.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self._file: IO[str] | None = None

    def add(self, line: int, reason: str, raw: str) -> None:
        """Write one row down. Raises BadInputError where the file cannot be written."""
        try:
            if self._file is None:
                self._open()
            csv.writer(self._file).writerow((line, reason, raw[:MAX_RAW]))  # type: ignore[arg-type]  # opened above
        except OSError as error:
            raise BadInputError(
                f"The rejects file {self.path} cannot be written: {error.strerror}. "
                "Name another place with --rejects."
            ) from error
        self.rows += 1

    def _open(self) -> None:
        self.path.unlink(missing_ok=True)
        self.path.touch(mode=0o600)
        self._file = self.path.open("w", encoding="utf-8", errors="backslashreplace", newline="")
        csv.writer(self._file).writerow(("line", "reason", "raw"))

    def close(self) -> None:
        """Everything that was added is in the file afterwards."""
        if self._file is not None:
            self._file.close()
