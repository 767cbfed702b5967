"""Secrets at rest: encrypted with a key that is not in the database.

A key is 32 random bytes as URL-safe base64. Of several, the first encrypts and each decrypts, so
that a new one can be put in front while ciphertexts of the old ones are still there.
"""

import os
import re
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from spend.errors import SpendbeatError

_KEY = re.compile(r"[A-Za-z0-9_-]{43}=", re.ASCII)
_SEPARATORS = re.compile(r"[,\s]+")


class SecretKeyError(SpendbeatError):
    """The key of the stored secrets is missing or wrong."""


class Keys:
    """The keys of one place; neither repr nor errors show them.

    place: where they are from, for messages, such as a variable's name or a file's path.
    """

    def __init__(self, texts: Sequence[str], place: str) -> None:
        if not texts:
            raise SecretKeyError(f"{place} holds no key. 'spendbeat secrets new-key' prints one.")
        fernets = []
        for number, text in enumerate(texts, 1):
            # Checked here: base64 passes over characters that it does not know.
            if not _KEY.fullmatch(text):
                raise SecretKeyError(
                    f"Key {number} of {place} is not 32 bytes as URL-safe base64 (44 characters)."
                    " 'spendbeat secrets new-key' prints one that is."
                )
            fernets.append(Fernet(text))
        self._fernet = MultiFernet(fernets)
        self.place = place
        self.count = len(fernets)

    def __repr__(self) -> str:
        return f"Keys({self.count} from {self.place})"

    def seal(self, secret: str) -> str:
        """The ciphertext of a secret."""
        return self._fernet.encrypt(secret.encode()).decode()

    def unseal(self, sealed: str) -> str:
        """The secret of a ciphertext. Raises SecretKeyError where no key fits."""
        try:
            return self._fernet.decrypt(sealed).decode()
        except (InvalidToken, ValueError):
            raise SecretKeyError(self._misfit()) from None

    def renewed(self, sealed: str) -> str:
        """The same secret under the first key. Raises SecretKeyError where no key fits."""
        try:
            return self._fernet.rotate(sealed).decode()
        except (InvalidToken, ValueError):
            raise SecretKeyError(self._misfit()) from None

    def _misfit(self) -> str:
        return (
            f"A stored secret cannot be decrypted with the key of {self.place}: it was encrypted"
            " with another one. Put that key there too, behind the first. If it is lost, the"
            " secrets are: remove the channels and add them again."
        )


def new_key() -> str:
    """A new key."""
    return Fernet.generate_key().decode()


def parse(text: str, place: str) -> Keys:
    """Keys separated by commas or white space. Raises SecretKeyError."""
    return Keys([key for key in _SEPARATORS.split(text) if key], place)


def read(path: Path) -> Keys:
    """The keys of a file. Raises SecretKeyError."""
    return parse(_text(path), str(path))


def make(path: Path) -> bool:
    """Make the file with a new key, readable by its owner; False where it is there already.

    Two processes may do this at once: the file appears whole or not at all, and only once.
    """
    if path.exists():
        return False
    fresh = _written(path, new_key() + "\n")
    try:
        os.link(fresh, path)
    except FileExistsError:
        return False
    except OSError as error:
        raise _unusable(path, error) from None
    finally:
        fresh.unlink()
    return True


def put_first(path: Path, key: str) -> None:
    """A key in front of the others in the file. Raises SecretKeyError."""
    text = f"{key}\n{_text(path)}"
    parse(text, str(path))
    _replace(path, text)


def keep_first(path: Path) -> int:
    """Forget all keys of the file but the first; returns how many. Raises SecretKeyError."""
    first, *others = [key for key in _SEPARATORS.split(_text(path)) if key]
    _replace(path, f"{first}\n")
    return len(others)


def _text(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        raise SecretKeyError(
            f"The key of the stored secrets, {path}, is not there. Copy it from where the secrets"
            " were stored, or set SPENDBEAT_SECRET_KEY to its content."
        ) from None
    except UnicodeDecodeError:
        raise SecretKeyError(f"{path} is not a file with keys.") from None
    except OSError as error:
        raise _unusable(path, error) from None
    if mode & 0o007:
        raise SecretKeyError(
            f"Everybody can read {path}, which holds the key of the stored secrets: chmod 600 it."
        )
    return text


def _replace(path: Path, text: str) -> None:
    fresh = _written(path, text)
    owner = path.stat()
    with suppress(PermissionError):  # whoever may read it goes on reading it
        os.chown(fresh, owner.st_uid, owner.st_gid)
    fresh.chmod(owner.st_mode & 0o777)
    fresh.replace(path)


def _written(path: Path, text: str) -> Path:
    """A file of this process beside `path`, on the disk, 0600."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, fresh = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _unusable(path, error) from None
    return Path(fresh)


def _unusable(path: Path, error: OSError) -> SecretKeyError:
    return SecretKeyError(
        f"{path}, the key of the stored secrets, cannot be used: {error.strerror}. Set"
        " SPENDBEAT_SECRET_KEY, or SPENDBEAT_SECRET_KEY_FILE to another path."
    )
