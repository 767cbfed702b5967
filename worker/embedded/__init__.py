"""A Postgres and a Redis of our own, from wheels, for one machine without either."""
