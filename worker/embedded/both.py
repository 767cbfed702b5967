"""Which embedded servers a process needs."""

from worker.embedded.postgres import EmbeddedPostgres
from worker.embedded.redis import EmbeddedRedis
from worker.embedded.server import EmbeddedServer
from worker.settings import Settings


def needed(chosen: Settings) -> list[EmbeddedServer]:
    """The servers that no URL replaces."""
    servers: list[EmbeddedServer] = []
    if chosen.embedded_postgres:
        servers.append(EmbeddedPostgres(chosen.home))
    if chosen.embedded_redis:
        servers.append(EmbeddedRedis(chosen.home))
    return servers
