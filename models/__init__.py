"""What is stored: one file per table."""

from models.attributions import ATTRIBUTION_FIELDS, Attribution
from models.audits import Audit
from models.base import Base
from models.cost_logs import STATUSES, CostLog
from models.cursors import Cursor
from models.daily_cost_summaries import DailyCostSummary
from models.event_inbox import InboxEvent
from models.measures import MEASURES, TOKEN_CLASSES
from models.price_overrides import PriceOverride
from models.price_versions import PriceVersion
from models.reporting_zone import ReportingZone
from models.request_conflicts import RequestConflict
from models.request_keys import RequestKey
from models.sealed_buckets import SealedBucket
from models.sealed_months import SealedMonth
from models.series import Series
from models.shard_news import ShardNews
from models.spend_buckets import SpendBucket
from models.spend_summary import SpendSummary
from models.ticks import Tick

__all__ = [
    "ATTRIBUTION_FIELDS",
    "MEASURES",
    "STATUSES",
    "TOKEN_CLASSES",
    "Attribution",
    "Audit",
    "Base",
    "CostLog",
    "Cursor",
    "DailyCostSummary",
    "InboxEvent",
    "PriceOverride",
    "PriceVersion",
    "ReportingZone",
    "RequestConflict",
    "RequestKey",
    "SealedBucket",
    "SealedMonth",
    "Series",
    "ShardNews",
    "SpendBucket",
    "SpendSummary",
    "Tick",
]
