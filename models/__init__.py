"""What is stored: one file per table."""

from models.alert_history import AlertHistory
from models.api_key_names import ApiKeyName
from models.api_tokens import SCOPES, ApiToken
from models.attribution_limits import AttributionLimit
from models.attribution_rules import MATCH_FIELDS, AttributionRule
from models.attribution_values import AttributionValue
from models.attributions import ATTRIBUTION_FIELDS, Attribution
from models.audits import Audit
from models.base import Base
from models.budget_alerts import ALERT_STATES, BudgetAlert
from models.budget_checks import BudgetCheck
from models.budget_news import BudgetNews
from models.budget_queries import BudgetQuery
from models.budget_spend import BudgetSpend
from models.budget_versions import BUDGET_CHANGES, BudgetVersion
from models.budgets import BUDGET_STATES, Budget
from models.channels import CHANNEL_KINDS, Channel
from models.cost_logs import STATUSES, CostLog
from models.cursors import Cursor
from models.daily_cost_summaries import DailyCostSummary
from models.deliveries import Delivery
from models.delivery_counts import DeliveryCount
from models.event_inbox import InboxEvent
from models.feed_entries import FEED_KINDS, FeedEntry
from models.feed_state import FeedState
from models.gateway_spools import GatewaySpool
from models.ingest_counts import IngestCount
from models.litellm_days import LitellmDay
from models.litellm_seen import LitellmSeen
from models.litellm_sources import LitellmSource
from models.measures import MEASURES, TOKEN_CLASSES
from models.outbox import MESSAGE_STATES, OutboxMessage
from models.outbox_lanes import OutboxLane
from models.price_disagreements import PriceDisagreement
from models.price_ends import PriceEnd
from models.price_overrides import PriceOverride
from models.price_versions import PriceVersion
from models.rate_limits import RATE_LIMIT_STATES, RateLimit
from models.reporting_zone import ReportingZone
from models.repricings import Repricing
from models.request_conflicts import RequestConflict
from models.request_keys import RequestKey
from models.sealed_buckets import SealedBucket
from models.sealed_months import SealedMonth
from models.series import Series
from models.settlement_tries import SettlementTry
from models.shard_news import ShardNews
from models.spend_buckets import SpendBucket
from models.spend_summary import SpendSummary
from models.ticks import Tick
from models.visible_cost_logs import VisibleCostLog

__all__ = [
    "ALERT_STATES",
    "ATTRIBUTION_FIELDS",
    "BUDGET_CHANGES",
    "BUDGET_STATES",
    "CHANNEL_KINDS",
    "FEED_KINDS",
    "MATCH_FIELDS",
    "MEASURES",
    "MESSAGE_STATES",
    "RATE_LIMIT_STATES",
    "SCOPES",
    "STATUSES",
    "TOKEN_CLASSES",
    "AlertHistory",
    "ApiKeyName",
    "ApiToken",
    "Attribution",
    "AttributionLimit",
    "AttributionRule",
    "AttributionValue",
    "Audit",
    "Base",
    "Budget",
    "BudgetAlert",
    "BudgetCheck",
    "BudgetNews",
    "BudgetQuery",
    "BudgetSpend",
    "BudgetVersion",
    "Channel",
    "CostLog",
    "Cursor",
    "DailyCostSummary",
    "Delivery",
    "DeliveryCount",
    "FeedEntry",
    "FeedState",
    "GatewaySpool",
    "InboxEvent",
    "IngestCount",
    "LitellmDay",
    "LitellmSeen",
    "LitellmSource",
    "OutboxLane",
    "OutboxMessage",
    "PriceDisagreement",
    "PriceEnd",
    "PriceOverride",
    "PriceVersion",
    "RateLimit",
    "ReportingZone",
    "Repricing",
    "RequestConflict",
    "RequestKey",
    "SealedBucket",
    "SealedMonth",
    "Series",
    "SettlementTry",
    "ShardNews",
    "SpendBucket",
    "SpendSummary",
    "Tick",
    "VisibleCostLog",
]
