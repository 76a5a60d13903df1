"""``python -m ringwatch_collector``: the same as ``ringwatch collector``."""

import sys

from ringwatch_collector.cli import main

sys.exit(main())
