"""From the outside into the ledger: one way for every route.

raw row -> normalise -> Request -> stage (identity, price) -> store (one transaction per batch).
"""

from spend.capture.fields import FIELDS
from spend.capture.normalise import Normaliser
from spend.capture.pipeline import import_requests, import_source
from spend.capture.request import Rejected, Request
from spend.capture.summary import ImportSummary

__all__ = [
    "FIELDS",
    "ImportSummary",
    "Normaliser",
    "Rejected",
    "Request",
    "import_requests",
    "import_source",
]
