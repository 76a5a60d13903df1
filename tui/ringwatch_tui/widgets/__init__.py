"""Widgets: they are given values and post messages; none knows the client or the state."""
