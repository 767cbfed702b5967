"""Adoption: an existing table of the plain shape becomes part of the ledger.

shape: what the table has, and which column is which field. aside: moving it out of the way of the
ledger's own tables, and back. rows: reading it. books: what it holds beside what was booked.
"""
