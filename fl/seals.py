"""Letters that only their receivers can read, and that only their sender can have written.

What a letter says is encrypted once under a fresh key (ChaCha20-Poly1305, RFC 8439), which HPKE (RFC 9180: X25519,
HKDF-SHA256, ChaCha20-Poly1305) wraps for each receiver. The sender signs the whole by Ed25519 (RFC 8032). Key wraps,
encryption and signature all bind the letter's `Context`, so that a letter of another study, model, step, sender or
kind, or from a run with other settings, cannot take its place. What is ciphertext already is signed and not encrypted
again. Every letter also carries the signed head of its sender's audit trail (`clients/audit.py`).
"""

import base64
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from fl.errors import ProtocolError
from fl.messages import Head, Letter
from fl.records import encode

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
_KEY = 32
# Every letter has a key of its own, so that one nonce serves for all.
_NONCE = bytes(12)


@dataclass(frozen=True)
class PublicKeys:
    """By which letters to a party are sealed (X25519), and its signatures checked (Ed25519): 32 bytes each."""

    sealing: bytes
    signing: bytes

    @property
    def text(self) -> str:
        """Both as Base64, as they stand in a partner's `party.toml`."""
        return base64.b64encode(self.sealing + self.signing).decode("ascii")

    @classmethod
    def of_text(cls, text: str) -> Self:
        """The keys that `text` was made of. Raises ProtocolError when it is no such text."""
        try:
            content = base64.b64decode(text, validate=True)
        except ValueError:
            content = b""
        if len(content) != 2 * _KEY:
            raise ProtocolError(f"{text[:100]!r} is no public key of a party, as `siloscore keys` prints it")
        return cls(content[:_KEY], content[_KEY:])

    def signed(self, content: bytes, signature: bytes) -> bool:
        """Whether the owner of these keys has signed this."""
        try:
            Ed25519PublicKey.from_public_bytes(self.signing).verify(signature, content)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True)
class Identity:
    """A party's private keys: one opens letters, one signs."""

    opening: X25519PrivateKey
    signing: Ed25519PrivateKey

    @classmethod
    def new(cls) -> Self:
        """A fresh identity, from the operating system's randomness."""
        return cls(X25519PrivateKey.generate(), Ed25519PrivateKey.generate())

    @classmethod
    def of_pem(cls, content: bytes) -> Self:
        """The identity that `pem` wrote. Raises ValueError when it is none."""
        end = b"-----END PRIVATE KEY-----\n"
        keys = [load_pem_private_key(part + end, None) for part in content.split(end) if part.strip()]
        match keys:
            case [X25519PrivateKey() as opening, Ed25519PrivateKey() as signing]:
                return cls(opening, signing)
        raise ValueError("an identity is one X25519 and one Ed25519 private key")

    def pem(self) -> bytes:
        """Both keys as PKCS #8 in PEM, not encrypted."""
        form = Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        return self.opening.private_bytes(*form) + self.signing.private_bytes(*form)

    @cached_property
    def public(self) -> PublicKeys:
        """What the other parties may know."""
        return PublicKeys(
            self.opening.public_key().public_bytes_raw(), self.signing.public_key().public_bytes_raw()
        )


@dataclass(frozen=True, kw_only=True)
class Context:
    """Where a letter belongs.

    study, model and step are those of the reply that it left in, settings the digest of the run's settings at its
    sender, kind the class of what it says.
    """

    study: str
    model: str
    step: int
    settings: str
    sender: str
    kind: str


@dataclass(frozen=True)
class _Signed:
    """What a signature is over; digest is the SHA-256 of the letter's content as it travels."""

    context: Context
    head: Head
    keys: Mapping[str, bytes]
    digest: bytes


def sign_head(number: int, digest: str, identity: Identity) -> Head:
    """The head of an audit trail that ends with this line, under the party's signature."""
    return Head(number, digest, identity.signing.sign(_head_text(number, digest)))


def is_head_of(head: Head, party: PublicKeys) -> bool:
    """Whether the owner of these keys has signed the head."""
    return party.signed(_head_text(head.number, head.digest), head.signature)


def _head_text(number: int, digest: str) -> bytes:
    # A text, so that it is mistaken for none of the records that a party signs, too.
    return f"audit trail {number} {digest}".encode()


def seal(
    letter: Letter[Any],
    context: Context,
    identity: Identity,
    receivers: Mapping[str, PublicKeys],
    *,
    head: Head,
    encrypted: bool,
) -> Letter[Any]:
    """An open letter as it leaves its sender: signed, and `encrypted` so that only the receivers can read it."""
    bound, content = encode(context), letter.content
    keys = dict.fromkeys(receivers, b"")
    if encrypted:
        key = os.urandom(_KEY)
        content = ChaCha20Poly1305(key).encrypt(_NONCE, content, bound)
        for name, public in receivers.items():
            keys[name] = _SUITE.encrypt(key, X25519PublicKey.from_public_bytes(public.sealing), bound)
    signature = identity.signing.sign(encode(_Signed(context, head, keys, hashlib.sha256(content).digest())))
    return Letter(content, context.sender, context.model, context.step, head, keys, signature)


def verify(letter: Letter[Any], context: Context, sender: PublicKeys) -> None:
    """Raises ProtocolError unless the sender has written the letter in this context, and nobody changed it since."""
    signed = _Signed(context, letter.head, letter.keys, hashlib.sha256(letter.content).digest())
    if not sender.signed(encode(signed), letter.signature):
        raise ProtocolError(
            f"a letter of {context.sender} is not signed by it as {context.kind} of this study, step and settings"
        )


def unseal(letter: Letter[Any], context: Context, receiver: str, identity: Identity) -> Letter[Any]:
    """What a verified letter says, for a receiver. Raises ProtocolError when it is sealed to others, or altered."""
    wrapped, bound = letter.keys.get(receiver), encode(context)
    if wrapped is None:
        raise ProtocolError(f"a letter of {context.sender} is not for {receiver}")
    content = letter.content
    if wrapped:
        try:
            key = _SUITE.decrypt(wrapped, identity.opening, bound)
            content = ChaCha20Poly1305(key).decrypt(_NONCE, content, bound)
        except (InvalidTag, ValueError):
            raise ProtocolError(f"a letter of {context.sender} cannot be opened by {receiver}") from None
    return replace(letter, content=content, keys={})
