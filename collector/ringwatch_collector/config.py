"""Settings of the collector: defaults < TOML file < environment < flags. It reads, checks, and is frozen."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from ringwatch_collector.access.config import AccessConfig
from ringwatch_collector.alerts.config import AlertsConfig
from ringwatch_collector.bus.config import ROLES, BusConfig
from ringwatch_collector.history.config import HistoryConfig
from ringwatch_collector.recording.settings import RecordingConfig
from ringwatch_collector.repair.config import RepairConfig, RunbooksConfig
from ringwatch_collector.store.retention import Kept
from ringwatch_proto.errors import ConfigError

Section = TypeVar("Section")

_PASSWORD: Final = re.compile(r"(://[^:/@]*):[^/]*@")

ENVIRONMENT_PREFIX: Final = "RINGWATCH_COLLECTOR_"
# Shared with agents and consoles, so that one variable is enough on one machine.
ADDRESS_VARIABLE: Final = "RINGWATCH_COLLECTOR"
# RINGWATCH_COLLECTOR_ALERTS__ALERTMANAGER is the setting `alertmanager` of the section [alerts].
SECTION_SEPARATOR: Final = "__"


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorConfig:
    """Every setting; the text below each field says its effect, its unit and what unset means."""

    listen: str = "127.0.0.1:7701"
    """Address that agents and consoles dial; port 0 takes a free one."""
    name: str = ""
    """What the collector calls itself on screens; empty takes the host name."""
    data_dir: str = ""
    """Folder of the SQLite database; empty takes ``var/collector`` under the current folder."""
    database_url: str = ""
    """SQLAlchemy URL of another database (``postgresql+psycopg://...``); empty takes SQLite in data_dir."""
    insecure_plaintext: bool = False
    """Allow a listen address off loopback without TLS; every screen then says so."""
    tls_certificate: str = ""
    """PEM file of the server's certificate chain; with tls_key it turns TLS on."""
    tls_key: str = ""
    """PEM file of the certificate's key."""
    tls_client_ca: str = ""
    """PEM file of the CA that clients must have a certificate of (mutual TLS); empty asks for none."""
    access: AccessConfig = AccessConfig()  # noqa: RUF009  (frozen)
    """Who may talk to the collector: the section [access]."""
    runbooks: RunbooksConfig = RunbooksConfig()  # noqa: RUF009  (frozen)
    """The section [runbooks]: the site's own library, and how far runs go without a person."""
    repair: RepairConfig = RepairConfig()  # noqa: RUF009  (frozen)
    """The section [repair]: what runbooks may do outside of the nodes."""
    recording: RecordingConfig = RecordingConfig()  # noqa: RUF009  (frozen)
    """Section [recording]: how much of the past is kept as pictures."""
    role: str = "all"
    """``all``, or with [bus]: ``ingest`` takes agents' streams, ``detect`` finds what is wrong."""
    bus: BusConfig = BusConfig()  # noqa: RUF009  (frozen)
    """Several collectors that work as one: the section [bus]."""
    metrics_listen: str = ""
    """Loopback address of the Prometheus page; empty means no page."""

    tick_s: float = 0.5
    """Seconds between two looks of the detectors."""
    history_s: int = 300
    """Seconds of readings kept in memory; fewer when the fleet outgrows memory_mib."""
    memory_mib: int = 1024
    """Memory for readings, MiB."""
    job_memory_mib: int = 256
    """Memory for the steps of one job, MiB."""
    job_steps: int = 256
    """Most steps kept for each job."""
    job_slots: int = 512
    """Most collectives of a step that are told apart, fewer when a large job meets job_memory_mib."""
    skipped_steps: int = 5
    """First steps of a job that teach nothing."""
    reference_steps: int = 20
    """Healthy steps that a job's reference is learned from."""
    relearn_s: float = 120.0
    """Seconds between two times that a reference follows slow change."""
    keep_ended_job_s: float = 600.0
    """Seconds for which an ended job stays on the screens."""
    most_nodes: int = 16384
    """Nodes beyond this are refused."""
    most_jobs: int = 4096
    """Jobs beyond this are left out and counted."""
    forget_node_s: float = 86400.0
    """A node that was silent for so long is not expected any more after a restart."""
    silent_s: float = 3.0
    """A node that was not heard for so long is shown as silent, and its readings as stale."""

    max_message_mib: int = 4
    """Largest message that an agent may send, MiB."""
    stream_messages_per_s: float = 200.0
    """Messages a second that one stream may send on average; more is read more slowly."""
    stream_burst: int = 1000
    """Messages that one stream may send at once."""
    hellos_per_s: float = 500.0
    """Nodes that are admitted a second when a fleet reconnects."""
    hello_timeout_s: float = 10.0
    """A stream that has not said who it is by then is closed."""
    most_unacknowledged: int = 2000
    """Batches of one stream that wait for the disk before its reading stops."""

    store_retry_s: float = 0.5
    """Seconds between two tries when the database refuses work."""
    shutdown_s: float = 2.0
    """Seconds for which streams may finish after SIGTERM."""
    store: Kept = Kept()  # noqa: RUF009  (frozen)
    """Section [store]: how long what is kept."""
    alerts: AlertsConfig = AlertsConfig()  # noqa: RUF009  (frozen)
    """Section [alerts]: who is told, how fast, and how long it is tried."""
    history: HistoryConfig = HistoryConfig()  # noqa: RUF009  (frozen)
    """Section [history]: where series go and how often."""

    @property
    def plaintext_off_loopback(self) -> bool:
        """Return whether anyone on the network can read and write what crosses the wire."""
        return not self.tls_certificate and not _is_loopback(self.listen)


def load_config(
    file: Path | None, environment: Mapping[str, str], flags: Mapping[str, object]
) -> CollectorConfig:
    """Build the one config; raise ConfigError for an unknown key or a value that cannot work."""
    settings: dict[str, object] = {}
    if file is not None:
        settings |= _from_file(file)
    _merge(settings, _from_environment(environment))
    _merge(settings, {key: value for key, value in flags.items() if value is not None})
    config = _built(CollectorConfig, settings, "")
    _check(config)
    return config


def shown(config: CollectorConfig) -> dict[str, object]:
    """Return every setting as it may be printed: without the password of a URL."""
    settings: dict[str, object] = dataclasses.asdict(config)
    settings["database_url"] = _PASSWORD.sub(r"\1:***@", config.database_url)
    return settings


def _from_file(file: Path) -> dict[str, object]:
    try:
        with file.open("rb") as stream:
            return dict(tomllib.load(stream))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{file}: {error}") from error


def _from_environment(environment: Mapping[str, str]) -> dict[str, object]:
    settings: dict[str, object] = {}
    if ADDRESS_VARIABLE in environment:
        settings["listen"] = environment[ADDRESS_VARIABLE]
    for key, value in environment.items():
        if key.startswith(ENVIRONMENT_PREFIX):
            _put(settings, key.removeprefix(ENVIRONMENT_PREFIX).lower().split(SECTION_SEPARATOR), value)
    return settings


def _put(settings: dict[str, object], path: Sequence[str], value: object) -> None:
    if len(path) == 1:
        settings[path[0]] = value
        return
    section = settings.setdefault(path[0], {})
    if isinstance(section, dict):
        _put(section, path[1:], value)


def _merge(into: dict[str, object], settings: Mapping[str, object]) -> None:
    """Lay settings over others; a section is merged key by key."""
    for key, value in settings.items():
        held = into.get(key)
        if isinstance(held, dict) and isinstance(value, dict):
            _merge(held, value)
        else:
            into[key] = value


def _built(kind: type[Section], settings: Mapping[str, object], where: str) -> Section:
    """Build a section, and those inside it, from the values given for it."""
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    values: dict[str, object] = {}
    for key, value in settings.items():
        name = f"{where}{key}"
        if key not in fields:
            raise ConfigError(f"no setting {name[:80]!r}")
        default = fields[key].default
        if not dataclasses.is_dataclass(default):
            values[key] = _converted(name, value, type(default))
        elif isinstance(value, Mapping):
            values[key] = _built(type(default), value, f"{name}.")
        else:
            raise ConfigError(f"{name} is a section: write its settings under [{name}]")
    return kind(**values)


def _converted(name: str, value: object, kind: type) -> object:
    try:
        if kind is bool:
            return value if isinstance(value, bool) else _BOOLEANS[str(value).lower()]
        if kind is tuple:
            return _texts(value)
        if isinstance(value, bool):
            raise ValueError(name)
        return kind(value) if isinstance(value, str) or kind is float else _exactly(kind, value)
    except (KeyError, ValueError, TypeError) as error:
        raise ConfigError(f"{name}={str(value)[:60]!r} is not a {kind.__name__}") from error


_BOOLEANS: Final = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def _texts(value: object) -> tuple[str, ...]:
    """Return a list of texts; a variable or a flag gives them with commas between."""
    if isinstance(value, str):
        return tuple(each.strip() for each in value.split(",") if each.strip())
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise TypeError(value)
    return tuple(value)


def _exactly(kind: type, value: object) -> object:
    if not isinstance(value, kind):
        raise TypeError(value)
    return value


def _check(config: CollectorConfig) -> None:
    split_address(config.listen)
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if isinstance(value, int | float) and not isinstance(value, bool) and not 0 < value < 1e12:
            raise ConfigError(f"{field.name}={value} must be above 0 and finite")
    if bool(config.tls_certificate) != bool(config.tls_key):
        raise ConfigError("tls_certificate and tls_key go together")
    if config.tls_client_ca and not config.tls_certificate:
        raise ConfigError("tls_client_ca needs tls_certificate and tls_key")
    if config.role not in ROLES:
        raise ConfigError(f"role={config.role[:20]!r} is none of {', '.join(ROLES)}")
    if (config.role == "all") == bool(config.bus.url):
        raise ConfigError("role ingest or detect goes with bus.url, role all without")
    if config.role == "detect" and not config.database_url.startswith("postgres"):
        raise ConfigError("role detect needs a database_url of PostgreSQL: it is shared with other detectors")
    if config.access.listen and not config.tls_client_ca:
        raise ConfigError("access.listen is for callers without a certificate: it needs tls_client_ca")
    if config.access.listen:
        split_address(config.access.listen)
    if config.plaintext_off_loopback and not config.insecure_plaintext:
        raise ConfigError(
            f"listen={config.listen} is off loopback and would be plaintext: set tls_certificate and tls_key "
            "or say --insecure-plaintext and accept that anyone on the network can read and write"
        )
    if config.metrics_listen and not _is_loopback(config.metrics_listen):
        raise ConfigError(f"metrics_listen={config.metrics_listen} must be on loopback")


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of ``host:port`` or ``[ipv6]:port``; raise ConfigError for anything else."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"{address[:80]!r} is not host:port")
    return host.strip("[]"), int(port)


def _is_loopback(address: str) -> bool:
    host, _ = split_address(address)
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
