"""Table `price_versions`: the id of each place that a cost came from."""

from collections.abc import Iterable

from sqlalchemy import select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models import PriceVersion
from spend.pricing.origin import Origin


def resolve(session: Session, origins: Iterable[Origin]) -> dict[Origin, int]:
    """The id of each origin; those never met before are recorded."""
    wanted = sorted(set(origins))
    if not wanted:
        return {}
    session.execute(
        insert(PriceVersion).on_conflict_do_nothing(), [origin._asdict() for origin in wanted]
    )
    columns = (PriceVersion.source, PriceVersion.version, PriceVersion.assumption)
    rows = session.execute(select(PriceVersion.id, *columns).where(tuple_(*columns).in_(wanted)))
    return {Origin(*origin): id_ for id_, *origin in rows}
