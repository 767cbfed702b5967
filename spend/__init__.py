"""What it means: the rules of the ledger, in pipeline order, and their SQL."""
