"""LiteLLM's own database as a source of requests: read, never written."""
