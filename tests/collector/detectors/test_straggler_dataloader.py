"""The loader straggler names the rank, the node, or nobody when everybody starves."""

import numpy as np
import pytest
from tests.collector.detectors.builders import Array, JobSpec, all_from, fleet, from_step, job

from ringwatch_collector.detectors.straggler_compute import ComputeStraggler
from ringwatch_collector.detectors.straggler_dataloader import DataLoaderStraggler
from ringwatch_proto.records import IncidentKind, Verdict


@pytest.mark.parametrize("ranks", [4, 64])
@pytest.mark.parametrize("noise", [0.05, 0.25])
def test_names_the_rank_whose_loader_sleeps(ranks: int, noise: float) -> None:
    """One rank waits for data and all wait for it; its compute is as usual and not accused."""
    spec = JobSpec(ranks=ranks, steps=150, noise=noise, extra_data_s=from_step(70, 1, 0.05, 0.0))
    view = fleet(job(spec))
    (finding,) = DataLoaderStraggler().look(view)
    assert finding.kind is IncidentKind.STRAGGLER_DATALOADER
    assert (finding.culprit.rank, finding.culprit.node, finding.cause) == (1, "n001", "dataloader")
    assert finding.ruled_out[0].cause == "slow compute"
    assert ComputeStraggler().look(view) == []


def test_names_the_node_whose_ranks_all_starve() -> None:
    """A node with a slow disk starves each of its ranks."""

    def disk(base: Array) -> Array:
        base[60:, 4:8] = 0.06
        base[:60] = base[60:, :4] = base[60:, 8:] = 0.0
        return base

    (finding,) = DataLoaderStraggler().look(fleet(job(JobSpec(ranks=16, per_node=4, extra_data_s=disk))))
    assert (finding.culprit.kind, finding.culprit.node) == ("node", "n001")


def test_everybody_who_starves_blames_no_rank() -> None:
    """Slow storage is no rank's fault."""
    (finding,) = DataLoaderStraggler().look(fleet(job(JobSpec(extra_data_s=all_from(130, 0.05, 0.0)))))
    assert (finding.culprit.kind, finding.verdict) == ("none", Verdict.CANNOT_TELL)


@pytest.mark.parametrize(
    "spec",
    [
        JobSpec(),
        JobSpec(slow=from_step(130, 2, 2.0)),
        JobSpec(slow=all_from(130, 2.0)),
        JobSpec(transfer=all_from(130, 6.0)),
    ],
)
def test_other_faults_are_not_the_loaders(spec: JobSpec) -> None:
    """Slow compute and slow links leave the loader alone."""
    assert DataLoaderStraggler().look(fleet(job(spec))) == []


def test_a_loader_that_was_always_longer_on_one_rank_is_its_habit() -> None:
    """The reference takes off what was so while healthy."""
    view = job(JobSpec(noise=0.05))
    view.data_s[:, 3] += 0.02
    view.reference_data_s[3] += 0.02
    assert DataLoaderStraggler().look(fleet(view)) == []


def test_absent_data_times_accuse_nobody() -> None:
    """A job that does not tell its data time has no loader to blame."""
    view = job(JobSpec())
    view.data_s[:] = np.nan
    assert DataLoaderStraggler().look(fleet(view)) == []
