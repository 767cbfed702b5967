"""Secrets at rest: what one key encrypted, no other reads; a new one takes over without a gap."""

import threading
from pathlib import Path

import pytest

from spend import secrets
from spend.secrets import Keys, SecretKeyError

OLD, NEW = secrets.new_key(), secrets.new_key()


def test_a_secret_is_read_again_and_never_stored_as_it_is() -> None:
    keys = secrets.parse(OLD, "here")
    sealed = keys.seal("whsec_\u00fc")
    assert "whsec" not in sealed
    assert keys.seal("whsec_\u00fc") != sealed
    assert keys.unseal(sealed) == "whsec_\u00fc"


def test_the_first_key_encrypts_and_each_decrypts() -> None:
    before = secrets.parse(OLD, "here").seal("x")
    both = secrets.parse(f"{NEW},{OLD}", "here")
    assert both.count == 2
    assert both.unseal(before) == "x"
    for sealed in (both.seal("x"), both.renewed(before)):
        assert secrets.parse(NEW, "here").unseal(sealed) == "x"


@pytest.mark.parametrize(
    "sealed",
    [
        pytest.param(secrets.parse(OLD, "there").seal("x"), id="another key's"),
        "gAAAA",
        "",
        "\u00e4",
    ],
)
def test_what_no_key_fits_is_said_clearly(sealed: str) -> None:
    keys = secrets.parse(NEW, "the file")
    for read in (keys.unseal, keys.renewed):
        with pytest.raises(SecretKeyError, match="the file") as caught:
            read(sealed)
        assert caught.value.__cause__ is None
        assert NEW not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ,",
        "hunter2",
        "!" * 44,
        "\u00e4",
        pytest.param(OLD[:-1], id="cut"),
        pytest.param(OLD + "x", id="longer"),
        pytest.param(f"{OLD},hunter2", id="the second of two"),
    ],
)
def test_a_key_that_is_none_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(SecretKeyError, match="new-key") as caught:
        secrets.parse(text, "SPENDBEAT_SECRET_KEY")
    assert "hunter2" not in str(caught.value)
    assert OLD[:-1] not in str(caught.value)


def test_keys_are_in_no_repr() -> None:
    keys = Keys([OLD, NEW], "here")
    assert repr(keys) == "Keys(2 from here)"


def test_a_key_file_is_made_once_and_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "home" / "secret.key"
    made: list[bool] = []
    threads = [threading.Thread(target=lambda: made.append(secrets.make(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False] * 7 + [True]
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["secret.key"]
    sealed = secrets.read(path).seal("x")
    assert not secrets.make(path)
    assert secrets.read(path).unseal(sealed) == "x"


def test_a_file_takes_a_new_key_in_front_and_forgets_the_old(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    path.write_text(f"{OLD}\n")
    path.chmod(0o640)
    before = secrets.read(path).seal("x")
    secrets.put_first(path, NEW)
    assert path.read_text().split() == [NEW, OLD]
    assert path.stat().st_mode & 0o777 == 0o640
    after = secrets.read(path).renewed(before)
    assert secrets.keep_first(path) == 1
    assert secrets.read(path).unseal(after) == "x"
    with pytest.raises(SecretKeyError):
        secrets.read(path).unseal(before)


def test_a_file_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    with pytest.raises(SecretKeyError, match="is not there"):
        secrets.read(tmp_path / "none")
    with pytest.raises(SecretKeyError, match="SPENDBEAT_SECRET_KEY"):
        secrets.read(tmp_path)
    path = tmp_path / "secret.key"
    path.write_text(OLD)
    path.chmod(0o644)
    with pytest.raises(SecretKeyError, match="chmod 600"):
        secrets.read(path)
    path.chmod(0o600)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SecretKeyError, match="not a file with keys"):
        secrets.read(path)
    with pytest.raises(SecretKeyError, match="cannot be used"):
        secrets.make(path / "below" / "secret.key")
