"""Where the files of a federation on this machine are; `experiments/federation/__init__.py` says what they hold."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

COORDINATOR = "coordinator"
"""Name of the coordinator's folder, beside those of the parties."""


@dataclass(frozen=True)
class Organisation:
    """The folder of one organisation."""

    folder: Path

    @property
    def name(self) -> str:
        """Its name: `coordinator`, or that of the party's folder in the dataset."""
        return self.folder.name

    @property
    def authority(self) -> Path:
        """The certificate that signs the coordinator's."""
        return self.folder / "ca.crt"

    @property
    def status(self) -> Path:
        """What its supervisor says."""
        return self.folder / "status.json"

    @property
    def temporary(self) -> Path:
        """For what its processes need while they run."""
        return self.folder / "tmp"


@dataclass(frozen=True)
class Coordinator(Organisation):
    """The coordinator's folder."""

    @property
    def authority_key(self) -> Path:
        """The private key of the certificate authority."""
        return self.folder / "ca.key"

    @property
    def certificate(self) -> Path:
        """The certificate of the SuperLink and of the front door."""
        return self.folder / "server.crt"

    @property
    def key(self) -> Path:
        """Its private key."""
        return self.folder / "server.key"

    @property
    def secret(self) -> Path:
        """What the SuperLink and its executor share."""
        return self.folder / "superexec.secret"

    @property
    def database(self) -> Path:
        """The SuperLink's."""
        return self.folder / "superlink.db"

    @property
    def parties(self) -> Path:
        """Who may connect, by which keys."""
        return self.folder / "parties.toml"

    @property
    def flower(self) -> Path:
        """FLWR_HOME: Flower's settings, and the apps that were submitted."""
        return self.folder / "flower"


@dataclass(frozen=True)
class PartyNode(Organisation):
    """The folder of a party's node; `data` is that of its records."""

    data: Path

    @property
    def key(self) -> Path:
        """The private key of its SuperNode."""
        return self.folder / "supernode.key"

    @property
    def public_key(self) -> Path:
        """The public key, which the coordinator registers."""
        return self.folder / "supernode.pub"


@dataclass(frozen=True)
class Layout:
    """All the folders of the federation of a dataset."""

    data: Path

    @property
    def folder(self) -> Path:
        """That of the whole federation."""
        return self.data / "federation"

    @property
    def coordinator(self) -> Coordinator:
        """The coordinator's part."""
        return Coordinator(self.folder / COORDINATOR)

    def party(self, name: str) -> PartyNode:
        """The part of the party with this folder in the dataset."""
        return PartyNode(self.folder / name, self.data / name)

    @property
    def record(self) -> Path:
        """The file that says what runs."""
        return self.folder / "federation.json"


@dataclass(frozen=True)
class Record:
    """What runs: since when (ISO 8601), the ports by program (`superlink`, `front-door`) and party, how parties run."""

    since: str
    ports: Mapping[str, int]
    parties: tuple[str, ...]
    plain: bool

    def write(self, layout: Layout) -> None:
        """Write it where `read_record` finds it."""
        layout.record.write_text(json.dumps(asdict(self), indent=1), "utf-8")


def read_record(layout: Layout) -> Record | None:
    """What runs, by the file that says so; nothing if there is none."""
    if not layout.record.exists():
        return None
    content = json.loads(layout.record.read_text("utf-8"))
    return Record(**{**content, "parties": tuple(content["parties"])})
