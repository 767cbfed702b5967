from hashlib import blake2b
from typing import NamedTuple
from uuid import UUID


class Mix(NamedTuple):
    """A combination of attribution fields, in the order of models.ATTRIBUTION_FIELDS."""

    organization: str | None = None
    project: str | None = None
    sprint: str | None = None
    agent: str | None = None
    user_id: str | None = None
    team: str | None = None
    api_key: str | None = None
    tags: tuple[str, ...] = ()

    @property
    def digest(self) -> UUID:
        """What makes one row per combination; texts contain no NUL, so nothing runs together."""
        names = ("\1" if name is None else f"\2{name}" for name in self[:-1])
        line = "\0".join((*names, *self.tags))
        return UUID(bytes=blake2b(line.encode(), digest_size=16, person=b"spendbeat-mix").digest())


NOBODY = Mix()
