"""Runs on every node: reads devices, host, network, kernel log and training jobs, and reports upward."""
