"""The ``ringwatch`` command, and ``ringwatch.attach`` for training scripts.

Importing this package loads nothing but the standard library.
"""

from typing import Any

from ringwatch_proto import __version__

__all__ = ["__version__", "attach"]


def attach(model: Any = None) -> None:  # noqa: ANN401 - any torch module, and torch is optional
    """Record what this rank does from now on: data wait, compute, collectives.

    ``model`` may be given when it is a DistributedDataParallel that exists already; others are found
    as they are made. Never raises, never blocks the job, and costs nothing when no agent listens.
    """
    from ringwatch_agent.hook import attach as attach_hook

    attach_hook(model)
