"""Where it runs: the Celery app, sessions, settings, metrics, servers and the command line."""
