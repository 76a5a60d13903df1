"""The process of one browser's console, started by ``ringwatch web``; its terminal is the browser."""

from __future__ import annotations

import sys

from ringwatch_tui.start import run_in_browser

if __name__ == "__main__":
    sys.exit(run_in_browser(sys.argv[1]))
