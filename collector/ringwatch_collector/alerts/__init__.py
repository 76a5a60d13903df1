"""Alerts out: what of an incident's life is told, to whom, and how it gets there. Opens and closes nothing."""
