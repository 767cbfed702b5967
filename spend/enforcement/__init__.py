"""Budgets before the call: what guards are told, and how that follows the ledger.

No Redis here: `rules` says what is enforced, `readings` what is spent and which calls that covers;
`worker/guard.py` brings both to Redis.
"""
