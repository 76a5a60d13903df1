"""Alerts out: what of an incident is told, to whom, and how it gets there. It opens and closes nothing."""
