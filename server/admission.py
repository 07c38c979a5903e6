"""Which SuperNodes the coordinator lets take part, and as whom.

In a deployment anybody who has a SuperNode's key may call itself by any name. So the coordinator keeps a file with the
keys of each party, and believes these alone. It is a TOML file with a table for each party:

    [bank]
    supernode = "ecdsa-sha2-nistp384 AAAA…"  # the line of its supernode.pub
    identity = "…"                           # what `siloscore keys` prints

`SILOSCORE_PARTIES` in the environment of the ServerApp names the file. Without it, as in simulation, no key is asked
for.
"""

import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_public_key

from fl.errors import ConfigError, ProtocolError
from fl.handshake import Description
from fl.seals import PublicKeys

PARTIES = "SILOSCORE_PARTIES"
"""Environment variable that names the file of the parties' keys."""


@dataclass(frozen=True)
class Keys:
    """A party's public keys: that of its SuperNode in PEM, as Flower has it, and those of its identity."""

    supernode: bytes
    identity: PublicKeys


@dataclass(frozen=True)
class _Written:
    """How a party's keys stand in the file."""

    supernode: str
    identity: str


@dataclass(frozen=True)
class Admission:
    """The keys of the parties that may take part, by name."""

    parties: Mapping[str, Keys]

    def supernodes(self, names: Iterable[str]) -> dict[bytes, str]:
        """The parties of these names, by the keys of their SuperNodes. ConfigError for one that is not in the file."""
        if absent := [name for name in names if name not in self.parties]:
            raise ConfigError(
                f"The coordinator's file of parties does not have {absent[0]!r}; it has {', '.join(self.parties)}."
            )
        return {self.parties[name].supernode: name for name in names}

    def require(self, supernode: bytes, about: Description) -> None:
        """Raises ProtocolError unless the SuperNode with this key, in PEM, is that of the party that it says it is."""
        (holder,) = [name for name, keys in self.parties.items() if keys.supernode == supernode]
        if about.name != holder:
            raise ProtocolError(
                f"The SuperNode with the key of party {holder} calls itself {about.name!r}. Ask both whose folder "
                "it was given."
            )
        introduction = about.introduction
        if self.parties[about.name].identity != introduction.keys or not introduction.is_signed:
            raise ProtocolError(
                f"Party {about.name} has another identity than in the coordinator's file of parties. If its people "
                "made new keys, write there what `siloscore keys` prints at the party."
            )


def read_admission() -> Admission | None:
    """The parties that may take part; None where the environment names no file of them, and any may.

    Raises ConfigError for a file that cannot be read, or in which two parties have the same key.
    """
    named = os.environ.get(PARTIES)
    return read_parties(Path(named)) if named else None


def read_parties(file: Path) -> Admission:
    """The parties of a file. Raises ConfigError as `read_admission` does."""
    try:
        written = msgspec.convert(tomllib.loads(file.read_text("utf-8")), dict[str, _Written])
    except (OSError, ValueError) as error:
        raise ConfigError(f"The parties' keys in {file} cannot be read: {error}.") from None
    parties = {name: _keys(file, name, keys) for name, keys in written.items()}
    for kind in ("supernode", "identity"):
        if len({getattr(keys, kind) for keys in parties.values()}) < len(parties):
            raise ConfigError(f"Two parties in {file} have the same key ({kind}); each needs its own.")
    return Admission(parties)


def _keys(file: Path, name: str, written: _Written) -> Keys:
    try:
        supernode = load_ssh_public_key(written.supernode.encode())
        identity = PublicKeys.of_text(written.identity)
    except (ValueError, UnsupportedAlgorithm, ProtocolError) as error:
        raise ConfigError(f"The keys of {name} in {file} cannot be read: {error}.") from None
    return Keys(supernode.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), identity)
