"""Measurements, each with its figures in docs/benchmarks.md; `python -m benchmarks` lists them."""
