"""What comparing the models with a database leaves out."""

from sqlalchemy.dialects.postgresql.base import ischema_names

from models.ticks import TxidSnapshot

ischema_names["txid_snapshot"] = TxidSnapshot


def include(_object: object, name: str | None, kind: str, *_: object) -> bool:
    """Partitions are made by spendbeat_ensure_month, not by migrations."""
    return not (kind == "table" and str(name).startswith("cost_logs_y"))
