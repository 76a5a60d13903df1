"""``ringwatch bench detection``: what the detectors find, miss and wrongly accuse, beside published rules."""
