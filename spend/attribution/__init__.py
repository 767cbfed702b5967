"""Who and what for: rules that fill what is missing, caps on what has no end, tags that are fields.

The table `attributions` itself is written by spend/attributions.py.
"""
