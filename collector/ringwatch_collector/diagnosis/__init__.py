"""Observations read from evidence, judged into ranked conclusions. Pure: no file, clock or socket."""
