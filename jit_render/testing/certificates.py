"""An authority of one's own and a server's certificate from it, for tests of what goes over TLS.

A client is made to believe it by ``REQUESTS_CA_BUNDLE``, as in a studio whose proxy signs for the servers behind it.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_VALID = dt.timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files: what clients have to trust, and what the server of 127.0.0.1 and ``localhost`` shows."""

    authority: Path
    server: Path
    """Key and certificate."""

    @classmethod
    def make(cls, folder: Path) -> Certificates:
        """New ones in `folder`."""
        root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        root_name = _named("jit-render tests")
        root = _draft(root_name, root_name, root_key.public_key(), is_authority=True).sign(root_key, hashes.SHA256())
        names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
        draft = _draft(_named("localhost"), root_name, key.public_key(), is_authority=False)
        leaf = draft.add_extension(x509.SubjectAlternativeName(names), critical=False).sign(root_key, hashes.SHA256())
        made = cls(folder / "authority.pem", folder / "server.pem")
        pem = serialization.Encoding.PEM
        plain = serialization.NoEncryption()
        made.authority.write_bytes(root.public_bytes(pem))
        made.server.write_bytes(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + leaf.public_bytes(pem)
        )
        return made

    def context(self) -> ssl.SSLContext:
        """For a server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server)
        return context


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _draft(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, is_authority: bool
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    draft = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    draft = draft.serial_number(x509.random_serial_number())
    draft = draft.not_valid_before(now - _VALID).not_valid_after(now + _VALID)
    return draft.add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
