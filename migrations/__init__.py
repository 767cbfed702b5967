"""The schema's history; see env.py for the guards it runs under."""
