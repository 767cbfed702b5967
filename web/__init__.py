"""Where people and programs ask: the HTTP service."""
