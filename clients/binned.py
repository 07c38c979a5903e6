"""What both halves of a protocol on bins read of a model's set-up: the rows that take part, and the bins."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clients.aligned import read_table
from clients.session import Session
from clients.store import Store
from fl.arrays import check_integers
from fl.binning import Binning, Codes
from fl.errors import ProtocolError
from fl.splits import TEST, TRAIN

_BINNING, _SETUP = "binning", "setup"


@dataclass(frozen=True)
class Setup:
    """A model's rows and bins at a party.

    positions  int (n,): the rows that train or validate, among all positions
    training   bool (n,): those that train
    codes      uint8 (n, c): the party's own bins in these rows
    """

    seed: int
    roles: NDArray[np.int8]
    positions: NDArray[np.int_]
    training: NDArray[np.bool_]
    binning: Binning
    codes: Codes


def set_up(session: Session, seed: int, roles: NDArray[np.int8], bins: int, minimum: int) -> Setup:
    """Bin the party's columns by the training rows, as `Binning.fit` does, and keep that."""
    if session.envelope.step != 1:
        raise ProtocolError("a model is started once")
    check_integers("roles", roles, len(read_table(session.study)), TRAIN, TEST + 1)
    return begin_model(session, session.store, seed, roles, bins, minimum)


def begin_model(
    session: Session, model: Store, seed: int, roles: NDArray[np.int8], bins: int, minimum: int
) -> Setup:
    """The same for any model of this study."""
    table = read_table(session.study)
    signs = {column.name: column.sign for column in session.party.declaration.columns}
    rows = np.flatnonzero(roles == TRAIN)
    binning = Binning.fit(table, rows, bins, minimum, signs)
    model.write(_BINNING, binning.to_arrays())
    model.write(_SETUP, {"seed": np.array(seed), "roles": roles})
    return _setup(model.folder, session.study.folder)


def read_setup(session: Session) -> Setup:
    """What `set_up` kept. Raises ProtocolError before it."""
    if not session.envelope.step > 0 or not session.store.has(_SETUP):
        raise ProtocolError("this model has not been started")
    return _setup(session.store.folder, session.study.folder)


def read_binning(model: Store) -> Binning:
    """How a model bins the party's columns. Raises FileNotFoundError."""
    return Binning.from_arrays(model.read(_BINNING))


# The same at every message of a model, so a worker process reads it once.
@lru_cache(maxsize=4)
def _setup(model: Path, study: Path) -> Setup:
    kept, binning = Store(model).read(_SETUP), read_binning(Store(model))
    roles = kept["roles"]
    positions = np.flatnonzero(roles != TEST)
    codes = binning.transform(read_table(Store(study)), positions)
    return Setup(int(kept["seed"]), roles, positions, roles[positions] == TRAIN, binning, codes)
