"""Exit codes of the commands, and nothing else."""

from typing import Final

OK: Final = 0
WRONG: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3
