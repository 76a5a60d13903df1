"""Node verbs: what is refused, what is done, on real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from ringwatch_agent.verbs import NodeFacts, Verbs
from ringwatch_proto.errors import VerbError
from ringwatch_proto.v1 import telemetry_pb2 as pb
from ringwatch_proto.verbs import BY_NAME, VERBS, Verb

ALL = frozenset(BY_NAME)
GPU = "GPU-00000000-0000-0000-0000-000000000000"


class Node:
    """What the verbs act on, with a note of each act."""

    def __init__(self) -> None:
        self.acts: list[str] = []
        self.pids: dict[int, int] = {}
        self.gate: threading.Event | None = None

    def facts(self) -> NodeFacts:
        """Return the seam."""
        return NodeFacts(
            inspect_gpu=lambda gpu: {"gpu.power_watts": "300"} if gpu == GPU else self._missing(gpu),
            inspect_node=lambda: {"source host": "up"},
            reset_clocks=self._reset,
            training_pids=lambda: self.pids,
        )

    def _missing(self, gpu: str) -> dict[str, str]:
        raise VerbError(f"no GPU {gpu}")

    def _reset(self, gpu: str) -> None:
        if self.gate:
            self.gate.wait(30)
        self.acts.append(f"reset {gpu}")


@pytest.fixture
def node() -> Node:
    """A node with nothing on it."""
    return Node()


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A real process that does nothing."""
    running = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    yield running
    running.kill()
    running.wait()


def request(
    verb: str, *, id: str = "1", approved: str = "ann", dry_run: bool = False, **arguments: str
) -> pb.VerbRequest:
    """Return a request."""
    return pb.VerbRequest(
        id=id, verb=verb, arguments=arguments, approved_by=approved, requested_by="bob", dry_run=dry_run
    )


async def test_looking_needs_no_approval(node: Node) -> None:
    """R0 verbs answer with facts."""
    result = await Verbs(ALL, node.facts())(request("gpu.inspect", approved="", gpu=GPU))
    assert (result.status, dict(result.facts)) == (pb.VERB_STATUS_DONE, {"gpu.power_watts": "300"})
    result = await Verbs(ALL, node.facts())(request("node.inspect", approved=""))
    assert dict(result.facts) == {"source host": "up"}


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (request("shell.run", command="rm"), "no verb"),
        (request("gpu.inspect", gpu="0; reboot"), "is not GPU UUID"),
        (request("process.terminate", pid="-1"), "is not process id"),
        (request("process.terminate"), "is missing"),
        (request("node.inspect", gpu=GPU), "no argument"),
        (request("gpu.reset_clocks", approved="", gpu=GPU), "nobody approved"),
    ],
)
async def test_what_is_not_on_the_list_or_not_approved_is_refused(
    node: Node, asked: pb.VerbRequest, why: str
) -> None:
    """Refused with its reason, and nothing is done."""
    result = await Verbs(ALL, node.facts())(asked)
    assert result.status == pb.VERB_STATUS_REFUSED
    assert why in result.text
    assert not node.acts


async def test_the_policy_of_the_node_has_the_last_word(node: Node) -> None:
    """An approved verb that this node does not allow is refused."""
    result = await Verbs(frozenset({"gpu.inspect"}), node.facts())(request("gpu.reset_clocks", gpu=GPU))
    assert result.status == pb.VERB_STATUS_REFUSED
    assert "policy" in result.text


async def test_a_process_that_did_not_join_is_left_alone(
    node: Node, process: subprocess.Popen[bytes]
) -> None:
    """Only ranks that joined by the hook can be signalled."""
    result = await Verbs(ALL, node.facts())(request("process.terminate", pid=str(process.pid)))
    assert result.status == pb.VERB_STATUS_REFUSED
    assert process.poll() is None


async def test_a_stopped_rank_goes_on(node: Node, process: subprocess.Popen[bytes]) -> None:
    """SIGCONT reaches it."""
    node.pids = {process.pid: 0}
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    verbs = Verbs(ALL, node.facts())
    seen = await verbs(request("process.inspect", id="a", pid=str(process.pid)))
    assert seen.facts["state"] == "T"
    result = await verbs(request("process.continue", id="b", pid=str(process.pid)))
    assert result.status == pb.VERB_STATUS_DONE
    os.waitid(os.P_PID, process.pid, os.WCONTINUED)


async def test_a_dry_run_says_what_it_would_do_and_does_not(
    node: Node, process: subprocess.Popen[bytes]
) -> None:
    """For every verb that changes something."""
    node.pids = {process.pid: 0}
    verbs = Verbs(ALL, node.facts())
    for number, (verb, arguments) in enumerate(
        [
            ("process.terminate", {"pid": str(process.pid)}),
            ("process.continue", {"pid": str(process.pid)}),
            ("gpu.reset_clocks", {"gpu": GPU}),
        ]
    ):
        result = await verbs(request(verb, id=str(number), approved="", dry_run=True, **arguments))
        assert result.status == pb.VERB_STATUS_DONE
        assert result.text.startswith("dry run: would")
    assert process.poll() is None
    assert not node.acts


async def test_a_rank_is_asked_to_end(node: Node, process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, not SIGKILL."""
    node.pids = {process.pid: 0}
    result = await Verbs(ALL, node.facts())(request("process.terminate", pid=str(process.pid)))
    assert result.status == pb.VERB_STATUS_DONE
    assert process.wait() == -signal.SIGTERM


async def test_a_request_that_comes_again_is_not_run_again(node: Node) -> None:
    """A stream that broke before the answer asks twice; the act happens once."""
    verbs = Verbs(ALL, node.facts())
    first = await verbs(request("gpu.reset_clocks", gpu=GPU))
    second = await verbs(request("gpu.reset_clocks", gpu=GPU))
    assert first == second
    assert node.acts == [f"reset {GPU}"]


async def test_a_verb_that_does_not_come_back_times_out(node: Node) -> None:
    """The answer says that it may still happen."""
    node.gate = threading.Event()
    asked = request("gpu.reset_clocks", gpu=GPU)
    asked.timeout_s = 0.05
    result = await Verbs(ALL, node.facts())(asked)
    node.gate.set()
    assert result.status == pb.VERB_STATUS_TIMED_OUT
    assert "may still happen" in result.text


async def test_a_verb_that_fails_says_why(node: Node) -> None:
    """The reason is the answer."""
    result = await Verbs(ALL, node.facts())(request("gpu.inspect", gpu="GPU-ffffffff"))
    assert (result.status, result.text) == (pb.VERB_STATUS_FAILED, "no GPU GPU-ffffffff")


async def test_a_process_that_is_gone_is_said_to_be(node: Node) -> None:
    """Looking at it fails; signalling it is refused."""
    verbs = Verbs(ALL, node.facts())
    gone = str(2**22 - 1)
    assert (await verbs(request("process.inspect", id="a", pid=gone))).status == pb.VERB_STATUS_FAILED
    assert (await verbs(request("process.continue", id="b", pid=gone))).status == pb.VERB_STATUS_REFUSED


_EXAMPLES = {"gpu": GPU, "pid": "1", "level": "quick"}


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
async def test_every_verb_of_the_closed_list_has_an_answer(node: Node, verb: Verb) -> None:
    """None of them is unknown to the agent, and a dry run of none changes anything."""
    arguments = {each.name: _EXAMPLES[each.name] for each in verb.arguments if each.name in _EXAMPLES}
    result = await Verbs(ALL, node.facts())(request(verb.name, dry_run=True, **arguments))
    # pid 1 joined by no hook, and this test runs no probe.
    assert result.status != pb.VERB_STATUS_FAILED or "KeyError" not in result.text
    assert not node.acts


@pytest.mark.parametrize("value", [f"{GPU}\n", f" {GPU}", "GPU-" + "0" * 5000, "", "GPU-$(reboot)"])
async def test_an_argument_must_fit_as_a_whole(node: Node, value: str) -> None:
    """No line end, no blank, no length that the list does not know."""
    result = await Verbs(ALL, node.facts())(request("gpu.inspect", gpu=value))
    assert result.status == pb.VERB_STATUS_REFUSED
    assert len(result.text) < 300


async def test_what_others_wrote_cannot_forge_a_line_of_the_log(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    """Names and arguments are quoted."""
    caplog.set_level("INFO")
    await Verbs(ALL, node.facts())(request("node.inspect", approved="ann\nINFO forged"))
    assert all("\n" not in record.getMessage() for record in caplog.records)
