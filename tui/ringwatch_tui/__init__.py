"""The console: a whole fleet in one terminal, over gRPC only."""
