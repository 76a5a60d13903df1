"""Entry of the simulated fleet's process."""

import sys

from ringwatch_drills.fleet.cli import main

sys.exit(main(sys.argv[1:]))
