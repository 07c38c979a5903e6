"""What any organisation must have on its machine: versions that fit, room on the disk, private files, certificates."""

import platform
import shutil
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from clients.worker import require_flower
from experiments.doctor import Finding, failure, ok, warning

_TIGHT, _LITTLE = 10**9, 5 * 10**9
SOON = timedelta(days=30)
"""A certificate that ends within this time should be replaced."""


def versions() -> Finding:
    """The version of Flower is the one that the worker speaks. Raises ConfigError if it is not."""
    require_flower(version("flwr"))
    return ok(
        f"Python {platform.python_version()}, flwr {version('flwr')}, siloscore {version('siloscore')}."
    )


def disk(folder: Path) -> Finding:
    """There is room for state and logs: a study of three contenders needs some hundred megabytes at each party."""
    free = shutil.disk_usage(folder).free
    text = f"{free / 1e9:,.1f} GB are free in {folder}"
    if free < _TIGHT:
        return failure(
            f"Only {text}; make room for 1 GB at least, since a party whose disk is full cannot answer."
        )
    return warning(f"Only {text}; 5 GB are enough for long.") if free < _LITTLE else ok(f"{text}.")


def require_private(*files: Path) -> None:
    """Raises OSError for a file that is not there, and PermissionError for one that other users may read."""
    for file in files:
        if file.stat().st_mode & 0o077:
            raise PermissionError(0, f"Other users may read it; run `chmod 600 {file}`", str(file))


def certificate(authority: Path, server: Path, key: Path) -> Finding:
    """The coordinator's certificate is signed by its authority, is of its key, and does not end soon."""
    require_private(key)
    roots = x509.load_pem_x509_certificates(authority.read_bytes())
    held = x509.load_pem_x509_certificate(server.read_bytes())
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    private = load_pem_private_key(key.read_bytes(), None)
    if private.public_key().public_bytes(*form) != held.public_key().public_bytes(*form):
        return failure(f"{server} is not the certificate of {key}; make both anew.")
    if not any(_signs(root, held) for root in roots):
        return failure(f"{server} is not signed by {authority}, which the parties have; sign it anew.")
    names = held.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    told = ", ".join(str(name.value) for name in names)
    return lifetime(f"{server} is for {told}", min(one.not_valid_after_utc for one in (held, *roots)))


def lifetime(what: str, end: datetime) -> Finding:
    """Whether a certificate, in words, ends soon."""
    left, day = end - datetime.now(UTC), end.date().isoformat()
    if left < timedelta(0):
        return failure(f"{what}, and has ended on {day}; replace it (docs/deploy.md).")
    if left < SOON:
        return warning(f"{what}, and ends on {day}; replace it before (docs/deploy.md).")
    return ok(f"{what}, until {day}.")


def _signs(root: x509.Certificate, held: x509.Certificate) -> bool:
    try:
        held.verify_directly_issued_by(root)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
