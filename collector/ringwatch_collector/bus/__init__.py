"""Several collectors as one: ingest puts batches on NATS JetStream, detectors own partitions of it."""
