"""Reads certificates. It signs nothing: ``authority.py`` does."""

from __future__ import annotations

from cryptography import x509
from cryptography.x509.oid import NameOID

from ringwatch_collector.access.callers import Caller, Role
from ringwatch_proto.codec import to_ns


def node_of(pem: bytes) -> Caller:
    """Return the node that a certificate stands for; raise ValueError when it names none.

    The transport has checked the certificate against the CA and the time before.
    """
    certificate = x509.load_pem_x509_certificate(pem)
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(names) != 1 or not names[0].value:
        raise ValueError("the certificate names no node: its subject needs one common name")
    name = str(names[0].value)
    return Caller(
        name=name,
        role=Role.AGENT,
        node=name,
        authenticated=True,
        credential=serial_of(certificate),
        expires_ns=expiry_ns(certificate),
    )


def serial_of(certificate: x509.Certificate) -> str:
    """Return the serial number as the book writes it."""
    return f"{certificate.serial_number:x}"


def expiry_ns(certificate: x509.Certificate) -> int:
    """Return when the certificate ends."""
    return to_ns(certificate.not_valid_after_utc.timestamp())
