"""The parts of spend.forecast: the past without its peaks, the usual week, the level and replays.

Floats throughout, in units of the mean day: what is guessed needs no exact digits.
"""
