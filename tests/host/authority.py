"""Certificates for tests: an authority of the test's own, and files in the form of settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

__all__ = ["Authority"]


class Authority:
    """A certificate authority, and files made by it."""

    def __init__(self, directory: Path, name: str = "ca") -> None:
        self.directory = directory
        self.ca = trustme.CA()
        self.bundle = directory / f"{name}.pem"
        self.ca.cert_pem.write_to_path(str(self.bundle))

    def files(self, name: str, *identities: str) -> dict[str, str]:
        """Settings with a certificate for 127.0.0.1 and these further names."""
        issued = _issue(self.ca, *identities)
        cert, key = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(key))
        return {"tls_cert_path": str(cert), "tls_key_path": str(key), "tls_ca_bundle": str(self.bundle)}


def _issue(ca: trustme.CA, *uris: str) -> Any:
    """A certificate for 127.0.0.1 with URI names, which trustme itself does not make."""
    plain = ca.issue_cert("127.0.0.1", "localhost")
    if not uris:
        return plain
    old = x509.load_pem_x509_certificate(plain.cert_chain_pems[0].bytes())
    names = old.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    builder = (
        x509.CertificateBuilder()
        .subject_name(old.subject).issuer_name(old.issuer).public_key(old.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(old.not_valid_before_utc).not_valid_after(old.not_valid_after_utc)
    )  # fmt: skip
    for extension in old.extensions:
        value = extension.value
        if isinstance(value, x509.SubjectAlternativeName):
            value = x509.SubjectAlternativeName([*names, *(x509.UniformResourceIdentifier(uri) for uri in uris)])
        builder = builder.add_extension(value, extension.critical)
    signer = serialization.load_pem_private_key(ca.private_key_pem.bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    made = builder.sign(signer, hashes.SHA256())
    plain.cert_chain_pems[0] = trustme.Blob(made.public_bytes(serialization.Encoding.PEM))
    return plain
