"""The terminal going away: ends the console then. Draws nothing."""

from __future__ import annotations

import os
import select
import signal
import threading


def end_with_terminal(descriptor: int = 0) -> None:
    """End this process once the terminal at ``descriptor`` is gone.

    A console under another program gets no SIGHUP when its terminal is closed: the kernel signals the leader
    of the session only. It would go on for ever, reading an end of file and waiting to draw.
    """
    # Also under nohup: what draws on a terminal has no use without it.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    threading.Thread(target=_watch, args=(descriptor,), name="terminal", daemon=True).start()


def _watch(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, 0)  # a hang-up is told without being asked for
    poll.poll()
    os.kill(os.getpid(), signal.SIGHUP)
