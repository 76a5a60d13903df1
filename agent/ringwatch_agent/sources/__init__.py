"""What the agent reads: one module a source, behind base.Source, listed in all.py."""
