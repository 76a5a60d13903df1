"""Attaches to a training process: what each rank does in each step. Standard library and torch only."""
