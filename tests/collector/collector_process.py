"""What a forked collector starts from: everything imported and the runbooks read, so that a life is short."""

from ringwatch_collector.cli import main
from ringwatch_runbooks.load import load_library

load_library()

__all__ = ["main"]
