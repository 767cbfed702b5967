"""From rows to webhooks through beat, broker and workers, whatever dies on the way."""

from pathlib import Path

from pytest_celery import RedisTestBroker

from tests.support.alert_storm import Heard, storm
from tests.support.moody import moody

MOODS = {"500": 0.12, "reset": 0.08, "slow": 0.05, "unanswered": 0.15}


def test_every_crossing_arrives_once_while_everything_between_row_and_receiver_dies(
    environment: dict[str, str], celery_broker: RedisTestBroker, tmp_path: Path
) -> None:
    """By a plain model of what was committed: none missing, none with two ids, in order."""
    heard = Heard()
    with moody(MOODS, 1, heard.read) as one, moody(MOODS, 2, heard.read) as other:
        found = storm(
            tmp_path,
            environment["REDIS_URL"],
            environment["DATABASE_URL"],
            (one, other),
            heard,
            budgets=18,
            rows=120,
            kill_every=4,
            dying=0.004,
            pause=0.25,
            seconds=120,
        )
    assert found.right, found
    assert found.expected > 30
    assert found.kills + found.deaths.total() > 0, "nobody died: this test would see nothing"
    assert found.again > 0, "nothing came twice: this test would see nothing"
