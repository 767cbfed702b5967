"""Price lists from outside: how they are read, and what importing one would change."""

from spend.pricing.lists.entries import Entry, Skipped
from spend.pricing.lists.plan import Change, Plan, apply, plan
from spend.pricing.lists.reading import read

__all__ = ["Change", "Entry", "Plan", "Skipped", "apply", "plan", "read"]
