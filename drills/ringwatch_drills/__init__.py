"""Simulated fleet, fault scripts, and the lab with real faults on one machine."""
