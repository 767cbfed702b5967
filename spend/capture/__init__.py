"""From the outside into the ledger: one way for every route.

raw row -> normalise -> Request -> stage (identity, price) -> store (one transaction per batch).

Nothing is imported here: some of it needs pyarrow, which is 32 MB of each process that does not.
"""
