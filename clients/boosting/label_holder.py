"""What the bank does in boosting: it has labels, so it makes gradients, chooses splits and keeps the trees."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from fl.nesting import of_party
from numpy.typing import NDArray

from clients.aligned import read_applications, read_coverage
from clients.binned import Setup, read_setup, set_up
from clients.forests import BankModel
from clients.randomness import goss_generator
from clients.session import Session
from clients.store import Store
from fl.arrays import check_bytes, check_names
from fl.binning import Shape
from fl.boosting import (
    Array,
    BeginRequest,
    Demanded,
    SplitRequest,
    packed,
    unpacked,
)
from fl.boosting.gradients import log_loss, ranges, sampled_columns
from fl.boosting.growing import Grower
from fl.boosting.growth import Data, Demand, Growth, Passive
from fl.boosting.layouts import Layout
from fl.boosting.padding import KEY_BYTES, combined, new_secret, pad
from fl.boosting.padding import public_key as seal_key
from fl.calibration import Calibration
from fl.config.boosting import BoostingConfig
from fl.encrypted_sums import Owner, new_owner, restore_owner
from fl.errors import ProtocolError
from fl.metrics import auc

_SECRET, _SEAL, _PARTIES = "secret_key", "seal_key", "parties"
_GROWTH, _TICKET = "growth/", "ticket/"
_NAN = float("nan")


def begin(session: Session, request: BeginRequest) -> Demanded:
    """Bin the own columns, make a key, and ask for the first sums."""
    coverage = read_coverage(session.study)
    check_names("parties", request.parties, coverage)
    if list(request.parties) != list(coverage):
        raise ProtocolError("parties must stand in the order of the alignment")
    shapes = [Shape.from_arrays(of_party(request.shapes, k)) for k in range(len(request.parties))]
    config = session.config.boosting
    setup = set_up(session, request.seed, request.roles, config.bins, config.min_bin_count)
    kept = {f"{k}/{name}": array for k, s in enumerate(shapes) for name, array in s.to_arrays().items()}
    session.store.write(_PARTIES, {"names": np.array(request.parties, np.str_), **kept})
    if shapes:
        entries = int(setup.training.sum()) * (2 if config.ahead == "tree" else 1)
        owner = new_owner(config.encryption, entries, ranges(config))
        session.store.write(_SECRET, owner.secret())
    if request.seal_keys:
        check_names("seal_keys", request.seal_keys, request.parties)
        for name, key in request.seal_keys.items():
            check_bytes(f"seal_key of {name}", key, (KEY_BYTES,))
        keys = {f"{k}": request.seal_keys[name] for k, name in enumerate(request.parties)}
        session.store.write(_SEAL, {"secret": new_secret(), **keys})
    bank = _Bank(session, Growth())
    demand = bank.grower.begin()
    if shapes and not bank.grower.asks_parties(0):
        demand = bank.grower.grow_alone()
    return bank.reply(demand, owner.public_key() if shapes else {})


def split(session: Session, request: SplitRequest) -> Demanded:
    """Take where rows went, and sums; finish a tree where that is due, choose the next splits."""
    arrays = _section(session.state, _GROWTH)
    if not arrays:
        raise ProtocolError("training has not begun, or has ended")
    bank = _Bank(session, Growth.from_arrays(arrays))
    growth = bank.grower.growth
    layout, counts = bank.grower.resolve(bank.members(request.members))
    if bank.grower.settle() and bank.judge():
        return bank.finish()
    if not growth.wanted:
        return bank.reply(bank.grower.plant() if growth.ahead else bank.grower.decide())
    if bank.grower.asks_parties(growth.tree):
        return bank.reply(bank.grower.advance(*bank.received(request, layout, counts)))
    return bank.reply(bank.grower.grow_alone())


class _Bank:
    """The bank's side of the model at one message."""

    def __init__(self, session: Session, growth: Growth) -> None:
        self._session, self._state = session, session.state
        self._config: BoostingConfig = session.config.boosting
        self._setup: Setup = read_setup(session)
        self._labels = read_applications(session.study).labels[self._setup.positions]
        self._passive = self._read_passive()
        self._seal = session.store.read(_SEAL) if session.store.has(_SEAL) else {}
        training, seed = self._labels[self._setup.training], self._setup.seed
        data = Data(
            session.party.declaration.name,
            self._labels,
            self._setup.training,
            self._setup.codes,
            self._setup.binning.shape,
            self._passive,
            seed,
            lambda tree: goss_generator(training, seed, tree),
        )
        self.grower = Grower(data, self._config, growth)
        self._best = _Best.from_arrays(session.state)
        self._entry = session.state.get("entry", np.empty(0, np.int64))
        self._metrics = (_NAN, _NAN, _NAN)

    def members(self, received: Mapping[str, Array]) -> dict[str, NDArray[np.bool_]]:
        """Where the passive parties' pending splits send the rows of their nodes."""
        rows, found = len(self._labels), {}
        check_names("members", received, [party.name for party in self._passive])
        for party in self._passive:
            check_bytes(f"members of {party.name}", received[party.name], (-(-rows // 8),))
            found[party.name] = unpacked(received[party.name], rows)
        return found

    def judge(self) -> bool:
        """Look at the forest that has just got another tree: whether training ends here."""
        growth, config, validation = self.grower.growth, self._config, ~self._setup.training
        scores, training = growth.scores, self._setup.training
        found = auc(self._labels[validation], scores[validation])
        self._metrics = (
            log_loss(scores[training], self._labels[training]),
            found,
            log_loss(scores[validation], self._labels[validation]),
        )
        if not config.patience or found > self._best.auc:
            self._best = _Best(found, growth.tree, scores)
        waited = growth.tree - self._best.trees
        return growth.tree >= config.trees or 0 < config.patience <= waited

    def received(
        self, request: SplitRequest, layout: Layout, counts: NDArray[np.bool_]
    ) -> tuple[list[NDArray[np.int64]], list[NDArray[np.bool_]], list[NDArray[np.int64]]]:
        """The sums, candidates and homes of the passive parties, opened and checked."""
        growth, counted = self.grower.growth, layout.only(counts)
        owner = _owner(self._session.store.folder, self._config.encryption)
        ticket: Mapping[str, Array] = _section(self._state, _TICKET)
        if owner.row_wise:
            if growth.ahead:
                self._entry = np.zeros(len(self._labels), np.int64)
                self._entry[counted.rows] = np.flatnonzero(counts)
            ticket = owner.regroup(ticket, self._entry[counted.rows], counted.offsets)
        names = [party.name for party in self._passive]
        check_names("candidates", request.candidates, names)
        check_names("homes", request.homes, names)
        nodes = 1 if growth.ahead else 2 * int((growth.owners >= 0).sum())
        sums, candidates, homes = [], [], []
        for number, party in enumerate(self._passive):
            shape, used = party.shape, self._used(party, growth.tree)
            opened = owner.decrypt(of_party(request.sums, number), ticket, shape.bins[used] - 1)
            known = self.grower.sums_known(number, counted)
            full = np.zeros((len(counted.offsets) - 1, len(shape), shape.width, 2), np.int64)
            for column, part in zip(np.flatnonzero(used), opened, strict=True):
                full[:, column, : part.shape[1]] = part
                # A column's last bin is not told: it is the rest.
                full[:, column, part.shape[1]] = known - part.sum(axis=1)
            sums.append(full)
            size = len(shape) * shape.width * 4
            bits = request.candidates[party.name]
            check_bytes(f"candidates of {party.name}", bits, (nodes, -(-size // 8)))
            candidates.append(unpacked(bits, size).reshape(nodes, len(shape), shape.width, 2, 2))
            homes.append(self._homes(request.homes[party.name], nodes, party))
        return sums, candidates, homes

    def _homes(self, received: Array, nodes: int, party: Passive) -> NDArray[np.int64]:
        """A passive party's merged bins in the new nodes, checked."""
        check_bytes(f"homes of {party.name}", received, (nodes, len(party.shape), party.shape.width))
        siblings = self.grower.growth.ahead or np.array_equal(received[::2], received[1::2])
        if (received >= party.shape.bins[:, None]).any() or not siblings:
            raise ProtocolError(f"homes of {party.name} must be bins of its columns, the same in siblings")
        return received.astype(np.int64)

    def reply(self, demand: Demand, public_key: Mapping[str, Array] | None = None) -> Demanded:
        """Keep the state and put the demand in a message, the first one with the public keys."""
        encrypted: Mapping[str, Array] = {}
        ticket = _section(self._state, _TICKET)
        if demand.layout is not None and self._passive:
            owner = _owner(self._session.store.folder, self._config.encryption)
            if demand.ahead or not owner.row_wise:
                bins = [party.shape.bins[self._used(party, demand.tree)] - 1 for party in self._passive]
                encrypted, ticket = owner.encrypt(demand.values, demand.layout.offsets, bins)
        self._session.state = {
            **{_GROWTH + name: array for name, array in self.grower.growth.to_arrays().items()},
            **{_TICKET + name: array for name, array in ticket.items()},
            **self._best.to_arrays(),
            "entry": self._entry,
        }
        # With the last splits of a tree nobody but the bank has to know where its own sent rows.
        left = np.zeros_like(demand.left) if demand.ahead else demand.left
        none = np.empty(0, np.uint8)
        return Demanded(
            False,
            np.empty(0, np.int64),
            demand.tree,
            demand.ahead,
            demand.layout is not None,
            demand.owners,
            demand.lighter_left,
            {name: splits.columns for name, splits in demand.splits.items()},
            {name: splits.left for name, splits in demand.splits.items()},
            packed(left),
            self._pads(demand),
            public_key or {},
            seal_key(self._seal["secret"]) if public_key is not None and self._seal else none,
            encrypted,
            self.grower.growth.tree,
            *self._metrics,
        )

    def finish(self) -> Demanded:
        """Return to the best forest, calibrate it, and keep it as the model."""
        growth, validation = self.grower.growth, ~self._setup.training
        forest = growth.forest.first(self._best.trees)
        kept = forest.split_counts(1 + len(self._passive))
        calibration = Calibration()
        if self._config.calibrate:
            calibration = Calibration.fit(self._best.scores[validation], self._labels[validation])
        own = growth.own.first(kept[0])
        model = BankModel(
            forest, own, np.array(kept, np.int64), self.grower.base, calibration, self._best.scores
        )
        model.write(self._session.store)
        # Whoever kept a training's ciphertexts or sealed sides shall not be able to have them opened later.
        for secret in (_SECRET, _SEAL):
            self._session.store.remove(secret)
        self._session.state = {}
        none = np.empty(0, np.uint8)
        return Demanded(
            True,
            np.array(kept[1:], np.int64),
            growth.tree,
            True,
            False,
            none.astype(np.int16),
            none.astype(bool),
            {},
            {},
            none,
            {},
            {},
            none,
            {},
            growth.tree,
            *self._metrics,
        )

    def _pads(self, demand: Demand) -> dict[str, Array]:
        """What opens the sides of each passive party's new splits, if they are sealed."""
        if not self._seal:
            return {}
        found = {}
        for number, party in enumerate(self._passive):
            splits, bins = demand.splits[party.name], party.shape.bins
            shared = pad(self._seal["secret"], self._seal[f"{number}"], bins, len(self._labels))
            found[party.name] = combined(shared, bins, splits.columns, splits.left)
        return found

    def _used(self, party: Passive, tree: int) -> NDArray[np.bool_]:
        share = self._config.column_share
        return sampled_columns(len(party.shape), party.name, self._setup.seed, tree, share)

    def _read_passive(self) -> list[Passive]:
        coverage, kept = read_coverage(self._session.study), self._session.store.read(_PARTIES)
        return [
            Passive(
                str(name), Shape.from_arrays(of_party(kept, k)), coverage[str(name)][self._setup.positions]
            )
            for k, name in enumerate(kept["names"])
        ]


@dataclass(frozen=True)
class _Best:
    """The best forest so far: its validation AUC, how many trees, and its scores (n,)."""

    auc: float = -1.0
    trees: int = 0
    scores: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def to_arrays(self) -> dict[str, Array]:
        return {
            "best_auc": np.array(self.auc),
            "best_trees": np.array(self.trees),
            "best_scores": self.scores,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> "_Best":
        if "best_auc" not in arrays:
            return cls()
        return cls(float(arrays["best_auc"]), int(arrays["best_trees"]), arrays["best_scores"])


# The same at every message of a model: a key takes longer to load than a reply to decrypt.
@lru_cache(maxsize=2)
def _owner(model: Path, engine: str) -> Owner:
    return restore_owner(engine, Store(model).read(_SECRET))


def _section(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
