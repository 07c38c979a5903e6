"""A bank's part in every model of several banks and passive parties: keys before the training, evaluation after it.

In the study of all, the bank makes keys for the secure sums. All else happens in its sub-study, where it shows what it
adds under the pads of these keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clients.aligned import read_applications, read_table
from clients.banks import read_schema
from clients.binned import check_seed, read_setup
from clients.pads import Pads, agreed, offered
from clients.scores import Scores
from clients.session import Session
from fl.banks import Judged, PadKeys, Started
from fl.banks.evaluation import cuts_of, outcomes, rows_of
from fl.banks.grid import Grid
from fl.banks.programs import refuse_without_noise
from fl.binning import Binning
from fl.errors import ProtocolError
from fl.evaluation import Evaluation
from fl.evaluation.measures import evaluate
from fl.hybrid import Agreed, Closed, Shown
from fl.messages import Letter
from fl.records import Array
from fl.splits import TEST
from fl.studies import whole_study


@dataclass(frozen=True, kw_only=True)
class Outside:
    """What the bank keeps before and after the training: the pads, and its own evaluation once it is there."""

    pads: Pads
    evaluation: Evaluation | None = None


def offer_keys(session: Session, seed: int) -> Started:
    """In the study of all: make fresh keys for the model under a seed.

    Raises ConfigError if the run wants noise on the banks' sums, since these have none.
    """
    check_seed(session, seed)
    refuse_without_noise(session.envelope.model.split("/")[0], session.config)
    return offered(session, read_schema(session))


def keep_keys(session: Session, keys: Mapping[str, Letter[PadKeys]]) -> Agreed:
    """In the study of all: keep the pads of the first sum, by the keys of the others."""
    session.store.keep(agreed(session, keys, read_schema(session)))
    return Agreed()


def forget_keys(session: Session) -> Closed:
    """In the study of all: the model is trained."""
    session.store.remove(Pads)
    session.keep(None)
    return Closed()


def judged(session: Session, total: Array) -> Judged:
    """How the model does on the bank's own test rows, and on those of all banks by their total."""
    state = session.state(Outside)
    if state.evaluation is None:
        raise ProtocolError("the model is not evaluated yet")
    labels, pd = rows_of(state.pads.read(total)[0])
    session.keep(None)
    return Judged(evaluation=state.evaluation, whole=evaluate(labels, pd, {}))


def show_outcomes(session: Session, state: Outside, counts: NDArray[np.int64], pads: Pads) -> Shown:
    """Show the goods and bads of the test rows by common bins of the score, which follow from counts of all banks."""
    cuts = cuts_of(counts)
    session.keep(replace(state, pads=pads))
    return Shown(pads.shown(outcomes(*tested(session), cuts)))


def agreed_pads(session: Session) -> Pads:
    """The pads that the banks have agreed on in the study of all. Raises ProtocolError before they have."""
    whole = session.earlier(whole_study(session.envelope.study), session.envelope.model)
    if not whole.has(Pads):
        raise ProtocolError("the banks have not agreed on keys for this model")
    return whole.read(Pads)


def keep_binning(session: Session, grid: Grid, counts: NDArray[np.int64], bins: int, minimum: int) -> None:
    """Keep the banks' bins by their counts on a grid, for the codes of the bank's own table."""
    table = read_table(session.study)
    signs = np.array([session.columns[name].sign for name in table.names], np.int8)
    binning: Binning = grid.binning(counts, bins, minimum, signs)
    session.store.keep(binning.with_codes_of(table, grid.schema.table(table)))


def tested(session: Session) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """The log odds and the labels of the bank's test rows."""
    test = read_setup(session).roles == TEST
    return session.store.read(Scores).log_odds[test], read_applications(session.study).labels[test]
