"""Alerts: which thresholds of which budgets are crossed, once each, and what becomes of that.

`checks` finds budgets that are to be looked at, `judging` looks, `states` keeps what was found and
what people do with it, `messages` says it to channels, `listing` shows it.
"""

from spend.alerts.alert import Alert, Change

__all__ = ["Alert", "Change"]
