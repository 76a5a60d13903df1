"""``ringwatch diagnose``: the agent's readers of evidence and the collector's judges, wired in one process."""
