"""The agent's settings: defaults < TOML file < environment < flags, built once. Unknown keys are errors."""

from __future__ import annotations

import re
import socket
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, get_type_hints

from ringwatch_proto.errors import ConfigError

_PREFIX: Final = "RINGWATCH_AGENT_"
# Names that other parts of Ringwatch share.
_SHARED_ENVIRONMENT: Final = {"collector": "RINGWATCH_COLLECTOR", "hook_socket": "RINGWATCH_SOCKET"}


def _number(text: str) -> float:
    number = float(text)
    if not 0 < number < 1e9:
        raise ValueError("must be above 0")
    return number


def _yes(text: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if text.lower() not in words:
        raise ValueError("must be true or false")
    return words[text.lower()]


def _name(text: str) -> str:
    # What a collector takes; found out here, it is a sentence at start and not a refused stream.
    if not text.isprintable() or len(text) > 128:
        raise ValueError("must be printable and at most 128 characters long")
    return text


def _pairs(text: str) -> Mapping[str, str]:
    pairs = [part.partition("=") for part in text.split(",") if part]
    if len(pairs) > 64 or not all(separator and key for key, separator, _ in pairs):
        raise ValueError("must be KEY=VALUE,KEY=VALUE, at most 64 of them")
    return {_name(key.strip()): _name(value.strip()) for key, _, value in pairs}


def _names(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(",") if part.strip())


_PCI: Final = re.compile(r"(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}):([0-9a-f]{2})(?:\.([0-7]))?")


def _pci(text: str) -> frozenset[str]:
    """Write PCI addresses as the kernel does: ``0000:0a:00.0``."""
    found = {name: _PCI.fullmatch(name.lower()) for name in _names(text)}
    for name, match in found.items():
        if match is None:
            raise ValueError(f"{name!r} is not a PCI address")
    return frozenset(
        f"{int(match[1] or '0', 16):04x}:{match[2]}:{match[3]}.{match[4] or '0'}"
        for match in found.values()
        if match is not None
    )


@dataclass(frozen=True, slots=True)
class Doc:
    """What a setting does, and how its text becomes a value."""

    help: str
    parse: Callable[[str], object] = str

    @property
    def is_switch(self) -> bool:
        """Return whether the flag may stand without a value."""
        return self.parse is _yes


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """All settings of an agent; the ``Doc`` of each is its documentation."""

    node: Annotated[str, Doc("name of this node; unset: the host name", _name)] = ""
    collector: Annotated[str, Doc("collector to report to, HOST:PORT; several with commas between")] = (
        "127.0.0.1:7701"
    )
    state_dir: Annotated[Path, Doc("where the spool lives; one agent a directory", Path)] = Path(
        "/var/lib/ringwatch/agent"
    )
    hook_socket: Annotated[Path, Doc("Unix socket that training processes join by", Path)] = Path(
        "/run/ringwatch/hook.sock"
    )
    metrics: Annotated[str, Doc("HOST:PORT of the /metrics page; 'off' for none")] = "127.0.0.1:9477"
    dcgm_names: Annotated[
        bool, Doc("show GPU readings under the DCGM_FI_* names of dcgm-exporter as well", _yes)
    ] = False
    labels: Annotated[Mapping[str, str], Doc("site facts, KEY=VALUE,...: rack, rail, class", _pairs)] = field(
        default_factory=dict
    )
    sources_off: Annotated[frozenset[str], Doc("sources not to read, comma-separated", _names)] = frozenset()
    kubelet: Annotated[Path, Doc("the kubelet's pod-resources socket, asked where it exists", Path)] = Path(
        "/var/lib/kubelet/pod-resources/kubelet.sock"
    )
    tensorboard: Annotated[
        Mapping[str, str], Doc("TensorBoard event files to take steps from, JOB=PATTERN,...", _pairs)
    ] = field(default_factory=dict)
    horovod: Annotated[Mapping[str, str], Doc("Horovod timelines to read, JOB=PATTERN,...", _pairs)] = field(
        default_factory=dict
    )
    horovod_all_ranks: Annotated[
        bool, Doc("all ranks of the timelines run on this node: show each, not only rank 0", _yes)
    ] = False
    inspector: Annotated[
        Mapping[str, str], Doc("files of NCCL's Inspector to read, JOB=PATTERN,...", _pairs)
    ] = field(default_factory=dict)
    flight: Annotated[
        Mapping[str, str], Doc("dumps of PyTorch's flight recorder to read, JOB=PATTERN,...", _pairs)
    ] = field(default_factory=dict)
    ras: Annotated[
        Mapping[str, str], Doc("NCCL RAS to ask, JOB=HOST:PORT; usually localhost:28028", _pairs)
    ] = field(default_factory=dict)
    ports_off: Annotated[
        frozenset[str], Doc("ports not to read, names or patterns such as mlx5_1/*, comma-separated", _names)
    ] = frozenset()
    interval_s: Annotated[float, Doc("seconds between readings", _number)] = 1.0
    deadline_s: Annotated[float, Doc("seconds after which a read that does not return is down", _number)] = (
        5.0
    )
    sysfs: Annotated[Path, Doc("where sysfs is mounted", Path)] = Path("/sys")
    proc: Annotated[Path, Doc("where procfs is mounted", Path)] = Path("/proc")
    kmsg: Annotated[Path, Doc("the kernel log device", Path)] = Path("/dev/kmsg")
    kmsg_pci: Annotated[
        frozenset[str] | None,
        Doc("PCI addresses whose kernel lines are this node's; unset: all of them", _pci),
    ] = None
    spool_mib: Annotated[
        float, Doc("most that is kept unacknowledged, MiB; up to three times that on disk", _number)
    ] = 32.0
    policy: Annotated[Path | None, Doc("file that says which verbs are allowed; unset: R0 only", Path)] = None
    tls_ca: Annotated[Path | None, Doc("CA of the collector; with the next two, mutual TLS", Path)] = None
    tls_certificate: Annotated[Path | None, Doc("certificate of this node", Path)] = None
    tls_key: Annotated[Path | None, Doc("key of this node", Path)] = None
    join: Annotated[
        str, Doc("where a node without a certificate joins, HOST:PORT; it then renews its own")
    ] = ""
    join_token_file: Annotated[Path | None, Doc("file of the join token, read when it is needed", Path)] = (
        None
    )
    insecure_plaintext: Annotated[bool, Doc("dial a collector off loopback without TLS", _yes)] = False

    def __post_init__(self) -> None:
        if not self.node:
            object.__setattr__(self, "node", socket.gethostname())
        self._check_tls()
        for name in ("collector", "join") if self.join else ("collector",):
            for address in getattr(self, name).split(","):
                host, separator, port = address.strip().rpartition(":")
                if not separator or not host or not port.isdigit():
                    raise ConfigError(f"{name}: {address!r} is not HOST:PORT")

    def _check_tls(self) -> None:
        tls = (self.tls_ca, self.tls_certificate, self.tls_key)
        if not self.join and any(tls) and not all(tls):
            raise ConfigError("tls_ca, tls_certificate and tls_key are given together or not at all")
        if self.join and (self.tls_certificate or self.tls_key):
            raise ConfigError(
                "a node that joins keeps its certificate in state_dir: leave out tls_certificate"
            )
        if self.join and not (self.tls_ca and self.join_token_file):
            raise ConfigError("join needs tls_ca and join_token_file")

    @property
    def boot_id(self) -> str:
        """Return what the kernel calls this boot; raise ConfigError where it has no name for it."""
        try:
            return (self.proc / "sys/kernel/random/boot_id").read_text().strip()
        except OSError as error:
            raise ConfigError(f"no boot id under {self.proc}: {error.strerror}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting as file, environment and flags know it."""

    name: str
    environment: str
    flag: str
    doc: Doc


def _settings() -> tuple[Setting, ...]:
    hints = get_type_hints(AgentConfig, include_extras=True)
    return tuple(
        Setting(
            name=name,
            environment=_SHARED_ENVIRONMENT.get(name, _PREFIX + name.upper()),
            flag="--" + name.replace("_", "-"),
            doc=hint.__metadata__[0],
        )
        for name, hint in hints.items()
    )


SETTINGS: Final[tuple[Setting, ...]] = _settings()
_BY_NAME: Final = {setting.name: setting for setting in SETTINGS}


def load(flags: Mapping[str, str], environment: Mapping[str, str], file: Path | None) -> AgentConfig:
    """Return the settings of all four layers.

    Raises:
        ConfigError: a key is unknown, a value does not fit, or the file cannot be read.
    """
    texts: dict[str, tuple[str, str]] = {}
    if file is not None:
        texts.update({name: (value, str(file)) for name, value in _from_file(file).items()})
    texts.update({name: (value, "environment") for name, value in _from_environment(environment).items()})
    texts.update({name: (value, "flag") for name, value in flags.items()})
    values: dict[str, Any] = {name: _parsed(name, text, where) for name, (text, where) in texts.items()}
    return AgentConfig(**values)


def _parsed(name: str, text: str, where: str) -> object:
    setting = _BY_NAME.get(name)
    if setting is None:
        raise ConfigError(f"{where}: no setting {name!r}")
    try:
        return setting.doc.parse(text)
    except ValueError as error:
        raise ConfigError(f"{where}: {name}={text!r}: {error}") from error


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    known = {setting.environment: setting.name for setting in SETTINGS}
    for key in environment:
        if key.startswith(_PREFIX) and key not in known:
            raise ConfigError(f"environment: no setting {key}")
    return {name: environment[key] for key, name in known.items() if environment.get(key)}


def _from_file(file: Path) -> dict[str, str]:
    try:
        table = tomllib.loads(file.read_text())
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: {error}") from error
    return {key: _as_text(file, key, value) for key, value in table.items()}


def _as_text(file: Path, key: str, value: object) -> str:
    """Write a TOML value as a flag would be written, so that one parser serves all layers."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ",".join(value)
    if isinstance(value, dict) and all(isinstance(each, str) for each in value.values()):
        return ",".join(f"{name}={each}" for name, each in value.items())
    raise ConfigError(f"{file}: {key}: a value of this type is not expected")
