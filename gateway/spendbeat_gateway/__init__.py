"""What runs inside the caller's process: records LLM calls and ships them to Spendbeat."""
