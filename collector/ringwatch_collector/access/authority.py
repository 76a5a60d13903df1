"""The fleet's own CA: signs server and node certificates. It decides nobody's name."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_CA_DAYS: Final = 3650
# Clocks of nodes are not exact: a certificate is valid a little before it is made.
_BACKDATED: Final = timedelta(minutes=5)


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a new key on P-256, which every TLS stack speaks."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a key as an unencrypted PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """Return a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


class Authority:
    """A CA with its key."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self.certificate = certificate
        self.key = key

    @classmethod
    def new(cls, name: str) -> Authority:
        """Make a CA that signs itself."""
        key = new_key()
        subject = _subject(name)
        certificate = (
            _builder(subject, subject, key.public_key(), timedelta(days=_CA_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @classmethod
    def load(cls, certificate: bytes, key: bytes) -> Authority:
        """Read a CA from PEM; raise ValueError when it is none or the two do not belong together."""
        loaded = serialization.load_pem_private_key(key, password=None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise ValueError("the CA's key is not an elliptic-curve key")
        authority = cls(x509.load_pem_x509_certificate(certificate), loaded)
        if authority.certificate.public_key() != loaded.public_key():
            raise ValueError("the CA's key does not belong to its certificate")
        return authority

    def for_server(
        self, names: Sequence[str], public_key: ec.EllipticCurvePublicKey, days: float
    ) -> x509.Certificate:
        """Sign a server's certificate for host names and addresses."""
        hosts = x509.SubjectAlternativeName([_general_name(name) for name in names])
        return self._sign(names[0], hosts, public_key, timedelta(days=days), ExtendedKeyUsageOID.SERVER_AUTH)

    def for_node(self, node: str, request: bytes, hours: float) -> x509.Certificate:
        """Sign a node's certificate for the key of a request; raise ValueError for one that means nothing.

        The request gives its key and nothing else: the name is the caller's to decide.
        """
        try:
            parsed = x509.load_pem_x509_csr(request)
            valid = parsed.is_signature_valid
        except (ValueError, InvalidSignature) as error:
            raise ValueError("the request is not a PEM certificate request") from error
        public_key = parsed.public_key()
        if not valid or not isinstance(public_key, ec.EllipticCurvePublicKey):
            raise ValueError("the request is not signed by the elliptic-curve key that it is for")
        names = x509.SubjectAlternativeName([x509.DNSName(node)])
        return self._sign(node, names, public_key, timedelta(hours=hours), ExtendedKeyUsageOID.CLIENT_AUTH)

    def _sign(
        self,
        name: str,
        names: x509.SubjectAlternativeName,
        public_key: ec.EllipticCurvePublicKey,
        life: timedelta,
        purpose: x509.ObjectIdentifier,
    ) -> x509.Certificate:
        return (
            _builder(_subject(name[:64]), self.certificate.subject, public_key, life)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(names, critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
            )
            .sign(self.key, hashes.SHA256())
        )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, life: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + life)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
