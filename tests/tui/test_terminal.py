"""The console ends with its terminal."""

import os
import pty
import signal
import subprocess
import sys

PROGRAM = "from ringwatch_tui.terminal import end_with_terminal as end; end(); import time; time.sleep(60)"


def test_a_process_whose_terminal_is_closed_ends() -> None:
    """Not only the leader of the session, which is all that the kernel tells."""
    leader, terminal = pty.openpty()
    # Its own session without a controlling terminal: the kernel sends it no signal at all.
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=terminal,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(terminal)

    os.close(leader)

    try:
        assert process.wait(timeout=30) == -signal.SIGHUP
    finally:
        process.kill()
        process.wait()
