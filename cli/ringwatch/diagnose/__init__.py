"""``ringwatch diagnose``: the agent's readers and the collector's judges in one process."""
