"""Measures Ringwatch itself; a bench prints what it found and judges nothing."""
