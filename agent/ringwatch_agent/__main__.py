"""``python -m ringwatch_agent`` is ``ringwatch agent``."""

import sys

from ringwatch_agent.cli import main

sys.exit(main(sys.argv[1:]))
