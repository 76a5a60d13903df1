"""Settings of runbooks and of what they may do outside of the nodes. Opens nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ringwatch_proto.errors import ConfigError
from ringwatch_runbooks.safety import MODES, Policy

_SCHEDULERS = ("", "slurm", "kubernetes")
_RISKS = ("R1", "R2")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunbooksConfig:
    """The section ``[runbooks]``."""

    library: tuple[str, ...] = ()
    """Folders of the site's own runbooks and actions; a file with the id of a packaged one replaces it."""
    mode: str = "ask"
    """``observe`` changes nothing, ``ask`` asks each time, ``automatic`` approves automatic_risks."""
    automatic_risks: tuple[str, ...] = ("R1",)
    """Risk classes that ``automatic`` approves: R1, R2. What needs two people is never among them."""
    trip_after: int = 2
    """Automatic actions that may go wrong within trip_window_s before the circuit breaker opens."""
    trip_window_s: float = 3600.0
    """Seconds over which they are counted."""
    most_out_percent: float = 5.0
    """Share of the nodes that may be out of service at a time, percent; one may always be."""

    def __post_init__(self) -> None:
        """Raise ConfigError for what cannot work."""
        if self.mode not in MODES:
            raise ConfigError(f"runbooks.mode={self.mode!r} is none of {', '.join(MODES)}")
        for risk in self.automatic_risks:
            if risk not in _RISKS:
                raise ConfigError(f"runbooks.automatic_risks: {risk!r} is none of {', '.join(_RISKS)}")
        if self.trip_after < 1 or not self.trip_window_s > 0 or not 0 < self.most_out_percent <= 100:
            raise ConfigError("runbooks: trip_after, trip_window_s and most_out_percent must be above 0")

    @property
    def policy(self) -> Policy:
        """Return what the engine keeps to."""
        return Policy(
            mode=self.mode,
            automatic_risks=self.automatic_risks,
            trip_after=self.trip_after,
            trip_window_s=self.trip_window_s,
            most_out_percent=self.most_out_percent,
        )

    @property
    def folders(self) -> tuple[Path, ...]:
        """Return the folders of the site's library."""
        return tuple(Path(each) for each in self.library)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairConfig:
    """The section ``[repair]``. What is not set is done by people, who are shown the command."""

    scheduler: str = ""
    """``slurm`` or ``kubernetes``; empty leaves drain, move and resume to people."""
    slurm_conf: str = ""
    """Path of slurm.conf for the commands; empty takes Slurm's own default."""
    kubeconfig: str = ""
    """Path of a kubeconfig; empty takes the service account of the pod."""
    scripts: tuple[str, ...] = ()
    """The site's scripts, each ``name=/absolute/path argument...`` or ``name.dry_run=/absolute/path ...``."""
    ticket_url: str = ""
    """Address that tickets are posted to; empty leaves tickets to people."""
    ticket_secret_file: str = ""
    """File whose content signs what is posted."""
    chat_urls_file: str = ""
    """File with one Apprise address a line; empty sends no messages."""
    proof: bool = True
    """Offer the probe of nodes whose policy allows node.probe."""
    adapters: tuple[str, ...] = ()
    """Names of entry points of the group ringwatch.repairs that are to be loaded."""

    def __post_init__(self) -> None:
        """Raise ConfigError for what cannot work."""
        if self.scheduler not in _SCHEDULERS:
            raise ConfigError(f"repair.scheduler={self.scheduler!r} is neither slurm nor kubernetes")
        if bool(self.ticket_url) != bool(self.ticket_secret_file):
            raise ConfigError("repair.ticket_url and repair.ticket_secret_file go together")
        if self.ticket_url and not self.ticket_url.startswith(
            ("https://", "http://127.0.0.1", "http://[::1]")
        ):
            raise ConfigError("repair.ticket_url has to be https, or http on loopback")
