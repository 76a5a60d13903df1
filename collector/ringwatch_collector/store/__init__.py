"""What outlives the collector: events, incidents, runs, audit. SQLAlchemy Core over one schema."""
