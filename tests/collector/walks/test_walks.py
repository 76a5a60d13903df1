"""Incidents of thirteen kinds from the page to the verified close, and what may happen on the way."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ringwatch_proto.records import IncidentKind, IncidentState, Subject

from .ward import ANA, BO, GPU, NODE, TARGET, open_ward

PORT = Subject(kind="link", node="n011", device="eth0", job="llm-70b")
LINK = Subject(kind="link", node="n011", device="eth0", peer="n012", job="llm-70b")
JOB = Subject(kind="job", job="llm-70b")


async def test_a_lost_gpu_is_power_cycled_by_two_people_and_proved(tmp_path: Path) -> None:
    """gpu.off_bus: drain, move, evidence, a second person for the power cycle, proof, return."""
    async with open_ward(tmp_path, **{"gpu.state": 1.0}) as ward:
        ward.ill(IncidentKind.GPU_OFF_BUS, "xid_79", GPU, latched=True)
        await ward.paged("gpu-off-the-bus")
        await ward.start("gpu-off-the-bus")
        await ward.say("seen", "answer", "take the node out")
        await ward.approve("drain")
        await ward.approve("move")
        await ward.say("evidence", "answer", "done")
        await ward.say("repair", "answer", "power cycle")
        await ward.approve("power_cycle")
        assert ward.run.step("power_cycle").phase == "second"
        with pytest.raises(ValueError, match="already did"):
            await ward.approve("power_cycle", ANA)
        assert "script.power_cycle_node" not in ward.site.done
        await ward.approve("power_cycle", BO)
        assert ward.site.done[-1] == "script.power_cycle_node"

        ward.well(**{"gpu.state": 0.0})
        await ward.pass_time(40)
        await ward.approve("validate")
        await ward.approve("give_back")

        ward.assert_closed(by_probe=True)
        assert ward.audited("action.power_cycle_node")[0] == ("ana, bo", "asked for")
        assert ward.audited("action.drain_node")[1] == (
            "ana",
            "done: scheduler.drain: before idle, after drained",
        )


async def test_a_failed_verification_comes_back_and_the_next_repair_mends(tmp_path: Path) -> None:
    """gpu.memory: the reset does not help, is not done twice, and the reboot does; the probe has its say."""
    healthy = {"gpu.state": 0.0, "gpu.remap_pending": 0.0, "gpu.remap_failed": 0.0}
    async with open_ward(tmp_path, **{**healthy, "gpu.remap_pending": 1.0}) as ward:
        ward.ill(IncidentKind.GPU_MEMORY, "xid_95", GPU)
        await ward.paged("uncontained-memory-error")
        await ward.start("uncontained-memory-error")
        await ward.say("checkpoint", "answer", "no")
        await ward.approve("drain")
        await ward.approve("move")
        await ward.say("evidence", "answer", "done")
        await ward.approve("reset")
        await ward.pass_time(3601)
        assert (ward.run.step("proof").outcome, ward.run.current) == ("not proved", "not_mended")
        assert ward.incident.state is not IncidentState.RESOLVED

        await ward.say("not_mended", "answer", "repair again")
        await ward.approve("reboot")
        await ward.approve("reboot", BO)
        ward.well(**healthy)
        ward.node.wrong = "2 of 8 equal products differ"
        await ward.pass_time(70)
        await ward.approve("validate")
        assert ward.run.current == "escalate"
        assert any("2 of 8 equal products differ" in line for line in ward.run.step("escalate").output)
        await ward.say("escalate", "answer", "OPS-1")
        assert ward.run.state == "handed_over"
        assert ward.site.out

        ward.node.wrong = ""
        await ward.start("gpu-memory", "bo")
        await ward.say("how", "answer", "it was repaired")
        await ward.approve("hold", BO)
        await ward.pass_time(40)
        await ward.approve("validate", BO)
        await ward.approve("give_back", BO)

        ward.assert_closed(by_probe=True)


async def test_heat_that_returns_after_the_close_opens_the_incident_again(tmp_path: Path) -> None:
    """gpu.thermal: closed on good readings, reopened by the signal, closed again."""
    cool = {
        "gpu.bad_clock_event_bits": 0.0,
        "gpu.sm_clock_ratio_to_peers": 1.0,
        "gpu.temperature_over_peers_celsius": 0.0,
    }
    hot = {
        "gpu.bad_clock_event_bits": 64.0,
        "gpu.sm_clock_ratio_to_peers": 0.6,
        "gpu.temperature_over_peers_celsius": 15.0,
    }
    async with open_ward(tmp_path, **{**hot, "gpu.state": 0.0}) as ward:
        ward.ill(IncidentKind.GPU_THERMAL, "thermal_slowdown", GPU)
        await ward.paged("thermal")
        for again in (0, 1):
            await ward.start("thermal")
            await ward.say("consent", "answer", "give the clocks back and watch")
            await ward.approve("reset_clocks")
            ward.well(**cool)
            await ward.pass_time(40)
            assert ward.incident.closed_s is not None
            assert ward.incident.reopened == again
            if not again:
                ward.ill(IncidentKind.GPU_THERMAL, "thermal_slowdown", GPU)
                ward.facts.values |= hot
                await ward.pass_time(1)
                assert ward.incident.closed_s is None

        ward.assert_closed(by_probe=False)
        assert [each.id for each in ward.book.all()] == ["I-1"]
        assert ward.node.acted == ["gpu.reset_clocks"] * 2


async def test_a_refused_precondition_waits_until_the_node_is_there(tmp_path: Path) -> None:
    """job.hang: nothing is sent to a node that is not there; then the process goes on."""
    async with open_ward(
        tmp_path, **{"job.ranks_dead": 0.0, "rank.process_state": "T", "rank.alive": True}
    ) as ward:
        ward.ill(IncidentKind.JOB_HANG, "process_stopped", TARGET)
        await ward.paged("hang")
        ward.facts.values["node.connected"] = False
        await ward.start("hang")
        await ward.pass_time(20)
        await ward.say("stopped", "answer", "let it go on")
        await ward.approve("go_on", target="rank 90")
        assert ward.run.step("go_on").why.startswith("refused: node.connected is no")
        assert ward.node.acted == []

        ward.facts.values["node.connected"] = True
        await ward.approve("go_on", target="rank 90")
        assert ward.node.acted == ["process.continue"]
        ward.well(**{"job.step_age_s": 1.0})
        await ward.pass_time(70)

        ward.assert_closed(by_probe=False)
        assert [actor for actor, _ in ward.audited("action.continue_process")] == ["ana", "ana"]


async def test_a_drain_too_many_is_taken_back(tmp_path: Path) -> None:
    """gpu.fault: the node was drained for a first Xid; the drain is undone, and the GPU watched instead."""
    async with open_ward(tmp_path, **{"gpu.state": 2.0}) as ward:
        ward.ill(IncidentKind.GPU_FAULT, "xid_109", GPU, latched=True)
        await ward.paged("gpu-fault")
        await ward.start("gpu-fault")
        await ward.say("how", "answer", "take the node out")
        await ward.approve("drain")
        await ward.engine.answer(ward.run.id, "drain", "undo", "n011", BO)
        assert ward.site.done == ["scheduler.drain", "scheduler.resume"]
        assert not ward.site.out
        await ward.say("move", "abort", "it was the first one")
        assert ward.run.state == "aborted"
        ward.well(**{"gpu.state": 0.0})
        await ward.pass_time(10)
        await ward.start("gpu-fault")
        await ward.say("once", "answer", "first time")
        await ward.pass_time(130)

        ward.assert_closed(by_probe=False)
        assert ward.audited("undo.drain_node") == [
            ("bo", "done: scheduler.resume: before drained, after idle")
        ]


async def test_others_get_the_evidence_and_the_next_one_closes(tmp_path: Path) -> None:
    """nvlink.fault: handed over with the text that holds it all, mended elsewhere, proved, closed."""
    async with open_ward(tmp_path, **{"gpu.nvlink_errors_per_s": 5.0}) as ward:
        ward.ill(IncidentKind.NVLINK_FAULT, "xid_74", GPU, latched=True)
        await ward.paged("nvlink")
        await ward.start("nvlink")
        await ward.say("how", "answer", "fatal")
        await ward.approve("drain")
        await ward.say("move", "skip", "the job has ended")
        text = "\n".join(ward.run.step("escalate").output)
        for wanted in ("n011", "xid_74", "ana", "Stop new work on the node", "Please attach", "Never:"):
            assert wanted in text, wanted
        await ward.say("escalate", "answer", "OPS-4711")
        assert ward.run.state == "handed_over"
        assert ward.incident.state is not IncidentState.RESOLVED

        ward.well(**{"gpu.nvlink_errors_per_s": 0.0})
        await ward.pass_time(10)
        await ward.start("nvlink", "bo")
        await ward.say("once", "answer", "again", BO)
        await ward.approve("drain", BO)
        await ward.approve("move", BO)
        await ward.say("evidence", "answer", "done", BO)
        await ward.say("repair", "answer", "reset the gpu", BO)
        await ward.approve("reset", BO)
        await ward.pass_time(130)
        await ward.approve("validate", BO)
        await ward.approve("give_back", BO)

        ward.assert_closed(by_probe=True)


async def test_a_crash_in_the_middle_of_a_reboot_asks_and_repeats_nothing(tmp_path: Path) -> None:
    """gpu.not_answering: the collector ends while the reboot is under way; the next one asks how it went."""
    async with open_ward(tmp_path, **{"gpu.state": 3.0, "fleet.gpus_bad": 1.0}) as ward:
        ward.ill(IncidentKind.GPU_NOT_ANSWERING, "xid_119", GPU)
        await ward.paged("gsp-firmware")
        await ward.start("gsp-firmware")
        await ward.say("many", "answer", "this one")
        await ward.say("action", "answer", "reboot")
        await ward.approve("drain_reboot")
        await ward.approve("move_reboot")
        await ward.say("evidence_reboot", "answer", "done")
        await ward.approve("reboot")
        ward.site.gate = asyncio.Event()
        await ward.approve("reboot", BO)
        assert ward.run.step("reboot").phase == "acting"

        await ward.crash()
        ward.site.gate = None
        assert ward.run.step("reboot").phase == "unknown"
        await ward.pass_time(30)
        assert "script.reboot_node" not in ward.site.done
        ward.well(**{"gpu.state": 0.0, "fleet.gpus_bad": 0.0})
        await ward.say("reboot", "answer", "done", BO)
        await ward.pass_time(70)
        await ward.approve("validate", BO)
        await ward.approve("give_back", BO)

        ward.assert_closed(by_probe=True)


async def test_a_silent_agent_is_started_again(tmp_path: Path) -> None:
    """node.agent_silent: the node answers, its agent is restarted, and it reports without a gap."""
    async with open_ward(tmp_path, **{"node.connected": False, "node.last_seen_age_s": 30.0}) as ward:
        ward.ill(IncidentKind.AGENT_SILENT, "agent_silent", NODE)
        await ward.paged("agent-silent")
        await ward.start("agent-silent")
        if ward.run.current == "many":
            await ward.say("many", "answer", "one node")
        await ward.say("reach", "answer", "it answers")
        await ward.approve("agent")
        ward.well(**{"node.connected": True, "node.last_seen_age_s": 0.5})
        await ward.pass_time(70)

        ward.assert_closed(by_probe=False)
        assert ward.site.done == ["script.restart_agent"]


async def test_a_lowered_power_limit_is_set_back_by_hand(tmp_path: Path) -> None:
    """gpu.power: the site has no way to do it; the command is shown and the reading proves it."""
    capped = {
        "gpu.bad_clock_event_bits": 0.0,
        "gpu.power_limit_ratio_to_peers": 0.7,
        "gpu.sm_clock_ratio_to_peers": 0.8,
    }
    async with open_ward(tmp_path, **capped) as ward:
        ward.ill(IncidentKind.GPU_POWER, "power_cap", GPU)
        await ward.paged("power-cap")
        await ward.start("power-cap")
        await ward.say("who", "answer", "by nobody")
        await ward.by_hand("restore")
        ward.well(**{"gpu.power_limit_ratio_to_peers": 1.0, "gpu.sm_clock_ratio_to_peers": 1.0})
        await ward.pass_time(40)

        ward.assert_closed(by_probe=False)


async def test_a_host_out_of_memory_is_cleared(tmp_path: Path) -> None:
    """host.fault: the limit of the job, its owner told, memory free again."""
    short = {"host.memory_available_mib": 500.0, "host.memory_pressure_percent": 40.0}
    async with open_ward(tmp_path, **short) as ward:
        ward.ill(IncidentKind.HOST_FAULT, "oom", NODE, latched=True)
        await ward.paged("host-oom")
        await ward.start("host-oom")
        await ward.say("who", "answer", "the job itself")
        ward.well(**{"host.memory_available_mib": 90_000.0, "host.memory_pressure_percent": 0.0})
        await ward.pass_time(70)

        ward.assert_closed(by_probe=False)
        assert ward.site.done == ["chat.send"]
        assert "n011: oom" in ward.site.texts[0]


async def test_a_flapping_port_gets_another_cable(tmp_path: Path) -> None:
    """network.port_down: drained, cable, soak, proof under load, return."""
    flapping = {"port.up": 1.0, "port.carrier_changes_per_s": 0.5}
    async with open_ward(tmp_path, **flapping) as ward:
        ward.ill(IncidentKind.PORT_DOWN, "port_flapping", PORT)
        await ward.paged("port-flapping")
        await ward.start("port-flapping")
        await ward.say("scope", "answer", "this port")
        await ward.say("optics", "answer", "clean and reseat or swap")
        await ward.approve("drain")
        await ward.approve("move")
        await ward.by_hand("cable")
        ward.well(**{"port.carrier_changes_per_s": 0.0})
        await ward.pass_time(310)
        await ward.approve("hold")
        await ward.approve("validate")
        await ward.approve("give_back")

        ward.assert_closed(by_probe=True)


async def test_shaping_is_taken_off_a_slow_link(tmp_path: Path) -> None:
    """network.slow_link: found, removed by hand, as fast as before."""
    slow = {
        "flow.delivery_ratio_to_reference": 0.2,
        "flow.retransmits_per_s": 0.0,
        "job.step_ratio_to_baseline": 1.8,
    }
    async with open_ward(tmp_path, **slow) as ward:
        ward.ill(IncidentKind.SLOW_LINK, "slow_link", LINK)
        await ward.paged("slow-link")
        await ward.start("slow-link")
        await ward.say("which", "answer", "shaping")
        await ward.by_hand("unshape")
        ward.well(**{"job.step_ratio_to_baseline": 1.0})
        await ward.pass_time(40)

        ward.assert_closed(by_probe=False)


async def test_a_job_whose_checkpoint_stalls_goes_on(tmp_path: Path) -> None:
    """job.pause: nobody is killed; the checkpoint ends, and steps follow."""
    async with open_ward(tmp_path, **{"job.step_age_s": 400.0, "host.processes_blocked": 0.0}) as ward:
        ward.ill(IncidentKind.JOB_PAUSE, "checkpoint", JOB)
        await ward.paged("checkpoint-stall")
        await ward.start("checkpoint-stall")
        await ward.say("age", "answer", "it grows")
        ward.well(**{"job.step_age_s": 1.0})
        await ward.say("wait", "answer", "it has ended")
        await ward.pass_time(130)

        ward.assert_closed(by_probe=False)
