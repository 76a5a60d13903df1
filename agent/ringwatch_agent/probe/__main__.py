"""Runs the probe as a module, as the agent does in a process of its own."""

import sys

from ringwatch_agent.probe.cli import main

if __name__ == "__main__":
    sys.exit(main())
