"""Budgets: limits for what a scope spends in a calendar period.

`spend/rollups.py` moves their spend with the buckets; here is what they say (`store`), how an edit
is right at once (`sums`) and how they stand (`standing`).
"""

from spend.budgets.definition import Budget, Definition, Threshold
from spend.budgets.standing import BudgetStatus, status
from spend.budgets.store import load

__all__ = ["Budget", "BudgetStatus", "Definition", "Threshold", "load", "status"]
