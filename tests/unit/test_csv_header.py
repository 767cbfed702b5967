"""A file that is no CSV gets one sentence, whatever is in it."""

from pathlib import Path

import pytest

from spend.capture.files import opened
from spend.errors import BadInputError


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\x7fELF\x02\x01\x01\0\0\r\0\0\n", "not text in UTF-8"),
        ("Schlüssel,Größe\n1,2\n".encode("latin-1"), "not text in UTF-8"),
        (b"provider\rmodel\rstarted_at\n", "not text in UTF-8"),
        (b"\n1,2\n", "first line is empty"),
        ("provider,model\n".encode("utf-16"), "UTF-16"),
    ],
)
def test_what_is_no_csv_is_said_in_a_sentence(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=says), opened(str(path), maps={}, constants={}):
        pass
