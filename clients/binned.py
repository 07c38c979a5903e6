"""What both halves of a conversation on bins read of a model's set-up: the rows that take part, and the bins."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clients.aligned import read_table
from clients.session import Session
from clients.store import Store
from fl import seeds
from fl.arrays import check_integers
from fl.binning import Binning, Codes
from fl.errors import ProtocolError
from fl.messages import Letter
from fl.splits import TEST, TRAIN, Split
from fl.tables import Table


@dataclass(frozen=True)
class Start:
    """What a model was started with: its seed, and the role of every position, int8 (n,)."""

    seed: int
    roles: NDArray[np.int8]


@dataclass(frozen=True, kw_only=True)
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


def start_model(session: Session, seed: int, split: Letter[Split]) -> Start:
    """Keep the seed and the split that a model is started with.

    Raises ProtocolError for roles that do not fit, and at the label holder for others than it has assigned: whoever
    could choose the rows that validate, or those of a batch, could read labels from how a model does on them.
    """
    roles = split.read(Split).roles
    check_seed(session, seed)
    check_integers("roles", roles, len(read_table(session.study)), TRAIN, TEST + 1)
    if len(np.unique(roles)) < 3:
        raise ProtocolError("a split must have rows that train, that validate and that test")
    if session.holds_label and not np.array_equal(roles, assigned(session.study, seed).read(Split).roles):
        raise ProtocolError(f"the split of seed {seed} is not the one that it has assigned")
    start = Start(seed, roles)
    session.store.keep(start)
    return start


def assigned(study: Store, seed: int) -> Store:
    """Where a label holder keeps the split that it has assigned under a seed."""
    return Store(study.folder / "splits" / str(seed))


def check_seed(session: Session, seed: int) -> None:
    """Raises ProtocolError unless the seed is that in the name of the session's model."""
    seeds.check_seed(seed)
    if seed != session.envelope.seed:
        raise ProtocolError(f"{session.envelope.model} is not a model of seed {seed}")


def set_up(
    session: Session, seed: int, split: Letter[Split], bins: int, minimum: int, special: bool = False
) -> Setup:
    """Bin the party's columns by the training rows, as `Binning.fit` does, and keep that."""
    start, table = start_model(session, seed, split), read_table(session.study)
    signs = {column.name: column.sign for column in session.declaration.columns}
    training = np.flatnonzero(start.roles == TRAIN)
    session.store.keep(Binning.fit(table, training, bins, minimum, signs, special))
    return read_setup(session)


def set_up_common(
    session: Session, seed: int, split: Letter[Split], studies: Sequence[str], bins: int, minimum: int
) -> Setup:
    """Bin a passive party's columns by all that it knows of the rows of several banks, each in its sub-study.

    Raises ProtocolError unless the party is aligned in all of them, and the session's own study is one.
    """
    stores = aligned_studies(session, studies)
    start_model(session, seed, split)
    table, joined = read_table(session.study), Table.stacked([read_table(store) for store in stores])
    signs = {column.name: column.sign for column in session.declaration.columns}
    binning = Binning.fit(joined, np.arange(len(joined)), bins, minimum, signs)
    session.store.keep(binning.with_codes_of(table, joined))
    return read_setup(session)


def aligned_studies(session: Session, studies: Sequence[str]) -> list[Store]:
    """Where a passive party has its rows of several banks, sorted by their sub-studies.

    Raises ProtocolError unless it is aligned in all of them, and the session's own study is one.
    """
    stores = [session.earlier(study) for study in sorted(studies)]
    if session.envelope.study not in studies or not all(store.has(Table) for store in stores):
        raise ProtocolError("common bins need this bank's sub-study and others that are aligned")
    return stores


def read_setup(session: Session) -> Setup:
    """What `set_up` has kept."""
    return setup_of(session.store.folder, session.study.folder)


# The same at every message of a model, so a worker process reads it once.
@lru_cache(maxsize=8)
def setup_of(model: Path, study: Path) -> Setup:
    """What is kept of a model, and of the rows of its study."""
    start, binning = Store(model).read(Start), Store(model).read(Binning)
    positions = np.flatnonzero(start.roles != TEST)
    return Setup(
        seed=start.seed,
        roles=start.roles,
        positions=positions,
        training=start.roles[positions] == TRAIN,
        binning=binning,
        codes=binning.transform(read_table(Store(study)), positions),
    )
