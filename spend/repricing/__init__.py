"""Booked requests under the prices that are known now: what would change, doing it, undoing it.

`known` tells what a ledger row and its adjustments say about a request's cost, `scope` which rows
are asked for and in which portions, `preview` what would change, `runs` changes it, `undo` takes
a run back. Adjustments of a run name it: their price version has source 'reprice' and its id.
"""
