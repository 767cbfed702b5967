"""Bringing messages to people and programs: channels, and what is sent to them."""
