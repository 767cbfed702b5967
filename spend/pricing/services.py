"""Service tiers: what providers and gateways call them, and what the price data calls them."""

STANDARD = ""
# A tier that was asked for as "auto" and not reported back was served as standard. Vertex AI
# calls its tiers traffic types; Anthropic's and Google's "fast" is priced as priority in the
# lists that know it.
_NAMES = {
    "auto": STANDARD,
    "default": STANDARD,
    "standard": STANDARD,
    "standard_only": STANDARD,
    "on_demand": STANDARD,
    "on_demand_priority": "priority",
    "on_demand_flex": "flex",
    "fast": "priority",
    "batches": "batch",
}


def service_name(tier: str | None) -> str:
    """The name under which prices are kept; empty for the standard tier."""
    if not tier:
        return STANDARD
    name = tier.strip().lower()
    return _NAMES.get(name, name)
