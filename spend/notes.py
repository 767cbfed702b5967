"""What people write beside what they do."""

import unicodedata

from spend.errors import BadInputError


def check(note: str, most: int) -> None:
    """Raises BadInputError for a note that is too long, or that could act on a terminal."""
    if len(note) > most:
        raise BadInputError(f"a note has at most {most:,} characters.")
    if any(unicodedata.category(one) == "Cc" and one not in "\n\t" for one in note):
        raise BadInputError("a note has no control characters but tabs and line ends.")
