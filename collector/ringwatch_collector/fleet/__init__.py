"""The fleet's state in columns: written by ingest, read by detectors through ``view.FleetView``."""
