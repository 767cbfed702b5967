"""Which budgets to look at first."""

from datetime import datetime

from sqlalchemy.orm import Session

from spend.sql import query


def fullest(session: Session, now: datetime, most: int) -> list[int]:
    """Ids of active budgets by the share of the limit that is spent, the fullest first."""
    return list(session.scalars(query("budget_pages", "fullest"), {"now": now, "most": most}))
