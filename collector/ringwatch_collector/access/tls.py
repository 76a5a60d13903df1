"""The TLS side of the collector's ports. Files that change are taken at the next handshake."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from ringwatch_proto.errors import ConfigError

_LOG: Final = logging.getLogger("ringwatch.collector.access")
# What tells one version of a file from the next: a renamed file has another inode, whatever its time.
Version = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFiles:
    """PEM files of one port; without ``client_authority`` clients are not asked for a certificate."""

    certificate: Path
    key: Path
    client_authority: Path | None

    def version(self) -> Version:
        """Return what the files are now; raise OSError when one is not there."""
        paths = [each for each in (self.certificate, self.key, self.client_authority) if each is not None]
        found = [path.stat() for path in paths]
        return tuple((each.st_ino, each.st_mtime_ns, each.st_size) for each in found)

    def configuration(self) -> grpc.ServerCertificateConfiguration:
        """Return what the files hold; raise OSError or ValueError when they cannot be used."""
        chain, key = self.certificate.read_bytes(), self.key.read_bytes()
        loaded = serialization.load_pem_private_key(key, password=None)
        if x509.load_pem_x509_certificate(chain).public_key() != loaded.public_key():
            raise ValueError(f"{self.key} is not the key of {self.certificate}")
        authority = self.client_authority.read_bytes() if self.client_authority else None
        if authority is not None:
            x509.load_pem_x509_certificates(authority)
        return grpc.ssl_server_certificate_configuration([(key, chain)], root_certificates=authority)


class ServerCertificates:
    """Hands a port its certificate, and the next one once its files are whole."""

    def __init__(self, files: ServerFiles) -> None:
        """Read the files; raise ConfigError when they cannot be used."""
        self._files = files
        try:
            self._seen = files.version()
            self._first = files.configuration()
        except OSError as error:
            raise ConfigError(f"{error.filename}: {error.strerror}") from error
        except ValueError as error:
            raise ConfigError(f"{files.certificate}: {error}") from error

    def credentials(self) -> grpc.ServerCredentials:
        """Return what the port is opened with."""
        return grpc.dynamic_ssl_server_credentials(
            self._first, self.newer, require_client_authentication=self._files.client_authority is not None
        )

    def newer(self) -> grpc.ServerCertificateConfiguration | None:
        """Return what the files hold if they changed; gRPC asks before each handshake, on any thread."""
        try:
            version = self._files.version()
            if version == self._seen:
                return None
            # Also when it cannot be used: it is said once, and looked at again when it changes again.
            self._seen = version
            newer = self._files.configuration()
        except (OSError, ValueError) as error:
            _LOG.error("the new server certificate cannot be used, the old one stands: %s", error)
            return None
        _LOG.info("took the new server certificate %s", self._files.certificate)
        return newer
