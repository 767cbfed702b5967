from uuid import UUID

from spend.capture.identity import key_of_id


def key_of(id_: str) -> UUID:
    """The key by which an id is known in request_keys and litellm_seen."""
    return UUID(bytes=key_of_id(id_))
