"""Runs the scripts on the connection that ``schema.upgrade`` holds; Alembic loads this file by its name."""

from __future__ import annotations

from alembic import context

# The transaction, and the lock in it, belong to the caller: all steps become durable together or none.
context.configure(connection=context.config.attributes["connection"], transaction_per_migration=False)
context.run_migrations()
