"""The keys and certificates of a federation: what `openssl` and `ssh-keygen` make, too."""

import ipaddress
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from experiments.federation.layout import Coordinator, PartyNode

_AUTHORITY_DAYS, _SERVER_DAYS = 3650, 397


def make_certificates(coordinator: Coordinator, hosts: Sequence[str] = ()) -> bool:
    """Make a fresh certificate of the server, and an authority that signs it if there is none; True if it made one.

    The certificate is for this machine, and for `hosts`: names or addresses by which others reach it.
    """
    is_new = not coordinator.authority_key.exists()
    if is_new:
        _make_authority(coordinator)
    _make_server(coordinator, list(dict.fromkeys([*hosts, "localhost", "127.0.0.1"])))
    return is_new


def make_node_key(node: PartyNode) -> bool:
    """Make the key pair of a SuperNode, as `ssh-keygen -t ecdsa -b 384` does; False if there is one, which stays."""
    if node.key.exists():
        return False
    key = ec.generate_private_key(ec.SECP384R1())
    node.public_key.write_bytes(key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) + b"\n")
    write_private(node.key, key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    return True


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only this user may read: it is whole, or not there."""
    draft = path.with_name(f".{path.name}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    draft.replace(path)


def _make_authority(coordinator: Coordinator) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("SiloScore federation")
    certificate = (
        _builder(name, name, key.public_key(), _AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(is_authority=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    coordinator.authority.write_bytes(certificate.public_bytes(Encoding.PEM))
    write_private(coordinator.authority_key, _pem(key))


def _make_server(coordinator: Coordinator, hosts: Sequence[str]) -> None:
    authority = x509.load_pem_x509_certificate(coordinator.authority.read_bytes())
    signing = load_pem_private_key(coordinator.authority_key.read_bytes(), None)
    assert isinstance(signing, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(_name(hosts[0]), authority.subject, key.public_key(), _SERVER_DAYS)
        .add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(is_authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False
        )
        .sign(signing, hashes.SHA256())
    )
    write_private(coordinator.key, _pem(key))
    coordinator.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        # Clocks differ: what was signed now must not be of tomorrow to anybody.
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
