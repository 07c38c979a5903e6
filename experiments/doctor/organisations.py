"""The checks of a party and of the coordinator, by name, in the order in which a person would mend them."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_private_key,
)

from clients.data.declaration import Declaration, read_declaration
from clients.data.errors import DataError, DataWarning
from clients.identity import read_identity
from clients.parties import open_party
from clients.policy import PINNED
from experiments.doctor import Finding, failure, ok, warning
from experiments.doctor.front_door import FrontDoor
from experiments.doctor.machine import certificate, disk, require_private, versions
from server.admission import read_parties

Checks = Mapping[str, Callable[[], Finding]]
_SOME = 100


def party_checks(folder: Path, node: Path, door: str) -> Checks:
    """Those of a party with its data in `folder`, its SuperNode's files in `node`, and the front door at `door`."""
    front = FrontDoor(door, node / "ca.crt")
    return {
        "versions": versions,
        "data": lambda: data_in_order(folder),
        "identity": lambda: identity(folder),
        "partners": lambda: partners(read_declaration(folder)),
        "policy": lambda: policy(folder),
        "disk": lambda: disk(folder),
        "SuperNode key": lambda: node_key(node),
        **_of_door(front),
        **({"registration": lambda: front.registered(read_node_key(node))} if door else {}),
    }


def coordinator_checks(folder: Path, door: str) -> Checks:
    """Those of a coordinator with this folder, and its front door at `door`."""
    authority, server, key = (folder / name for name in ("ca.crt", "server.crt", "server.key"))
    return {
        "versions": versions,
        "private files": lambda: private_files(folder),
        "own certificate": lambda: certificate(authority, server, key),
        "parties": lambda: parties(folder / "parties.toml"),
        "disk": lambda: disk(folder),
        **_of_door(FrontDoor(door, authority)),
    }


def _of_door(front: FrontDoor) -> dict[str, Callable[[], Finding]]:
    if not front.address:
        return {"front door": lambda: warning("It is not looked at; name it by --coordinator HOST:PORT.")}
    return {"certificate": front.chain, "clock": front.clock, "round trip": front.round_trip}


def data_in_order(folder: Path) -> Finding:
    """The party's records can be read, and its features computed. Raises DataError if not."""
    with warnings.catch_warnings(record=True) as doubts:
        warnings.simplefilter("always", DataWarning)
        party = open_party(folder)
        ids, declared = party.ids(), party.declaration
        months = None
        if declared.target is not None:
            applications = party.applications()[:_SOME]
            ids, months = applications.index.to_numpy(), applications["month"].to_numpy()
        party.warn(has_months=declared.month is not None or declared.target is None)
        party.matrix(ids[:_SOME].astype(str), None if months is None else months.astype("datetime64[M]"))
    text = f"{len(party):,} businesses, {len(declared.columns)} columns of type {declared.type}"
    told = [str(doubt.message) for doubt in doubts if issubclass(doubt.category, DataWarning)]
    return warning(" ".join([f"{text}.", *told])) if told else ok(f"{text}.")


def identity(folder: Path) -> Finding:
    """The party has private keys that its own user alone may read. Raises DataError if not."""
    return ok(f"The public keys are {read_identity(folder).public.text}.")


def partners(declared: Declaration) -> Finding:
    """The party knows the keys of its partners, or its policy lets it meet them."""
    if declared.partners:
        return ok(f"It works with {', '.join(declared.partners)}, whose keys its party.toml has.")
    if declared.policy.with_defaults().partners == PINNED:
        return failure(
            "Its party.toml has no [partners], and its policy wants their keys there, so it refuses every study. Write "
            "there what `siloscore keys` prints at each partner."
        )
    return warning(
        "It believes the keys that the coordinator passes on (policy.partners); pin those of its partners."
    )


def policy(folder: Path) -> Finding:
    """The party's rules can be read. Raises DataError if not."""
    rules = read_declaration(folder).policy
    defaults = [one.name for one in fields(rules) if one.name not in rules.written]
    return ok(
        f"{len(rules.written)} rules are written, and the defaults bind for the other {len(defaults)}; "
        f"`siloscore policy {folder}` explains them."
    )


def read_node_key(node: Path) -> ec.EllipticCurvePrivateKey:
    """The private key of a SuperNode. Raises DataError when it is none that Flower takes, and OSError without one."""
    file = node / "supernode.key"
    try:
        key = load_ssh_private_key(file.read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise DataError(f"{file} is no private key in OpenSSH's form: {error}.") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise DataError(f"{file} must be an ECDSA key; `siloscore keys DIR --node {node}` makes one.")
    return key


def node_key(node: Path) -> Finding:
    """The SuperNode's key is there for its own user alone, and is that of the public one. Raises as `read_node_key`."""
    key, public = read_node_key(node), node / "supernode.pub"
    require_private(node / "supernode.key")
    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    if public.exists() and public.read_text("utf-8").split()[:2] != line.split():
        return failure(
            f"{public} is not the public key of supernode.key; send the coordinator's people this: {line}"
        )
    return ok(f"The public key is {line}")


def private_files(folder: Path) -> Finding:
    """Nobody else may read the coordinator's keys, secrets and database. Raises OSError if one may, or is missing."""
    names = [name for name in ("ca.key", "superlink.db") if (folder / name).exists()]
    require_private(folder / "server.key", folder / "superexec.secret", *(folder / name for name in names))
    return ok(f"Only this user may read server.key, {', '.join(['superexec.secret', *names])}.")


def parties(file: Path) -> Finding:
    """The keys of the parties can be read. Raises ConfigError if not."""
    known = read_parties(file).parties
    if not known:
        return failure(f"{file} has no party; write there what each party's people send you.")
    return ok(f"{file} has the keys of {', '.join(known)}.")
