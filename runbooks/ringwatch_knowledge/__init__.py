"""What faults mean: Xid and SXid catalogues, log shapes, thresholds, as dated data."""
