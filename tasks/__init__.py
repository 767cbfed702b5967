"""When it runs: thin Celery tasks, one module per stage."""
