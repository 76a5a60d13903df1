"""Attaches to a training process: what each rank does in each step. Standard library and torch only.

    from ringwatch_agent import hook

    hook.attach()                      # once, before the model is wrapped; or start under `ringwatch exec`
    with hook.pause("checkpoint"):     # optional: say that the job pauses on purpose
        ...
    hook.step(loss=...)                # optional: mark steps yourself when there is no torch optimizer
    hook.note(tokens=..., work=...)    # optional: what this rank's batch holds; more work is not slowness

Nothing here raises into the job, runs a collective, or waits for the agent.
"""

from ringwatch_agent.hook.session import attach, detach, note, pause, step

__all__ = ["attach", "detach", "note", "pause", "step"]
