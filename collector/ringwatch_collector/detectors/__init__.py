"""Rules about the fleet: each pure, each one module, listed in all.py."""
