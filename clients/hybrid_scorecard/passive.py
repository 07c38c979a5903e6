"""What a passive party does in the scorecard of several banks: as in the scorecard of one, by sums over all of them.

It has a session in each bank's sub-study. All of them come to the same bins, bound, steps and points, from what the
party has there and from the same totals.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clients.aligned import read_table
from clients.binned import Setup, Start, aligned_studies, read_setup, setup_of, start_model
from clients.scorecard.columns import LABEL_RANGES, one_group, residual_ranges
from clients.scorecard.passive import (
    Fit,
    Masking,
    ResponderKey,
    Steps,
    begin_fit,
    counted,
    grouping_of,
    keep_points,
    masked_sums,
    no_steps,
    responder_of,
    take_step,
    tell_points,
    with_unknown,
)
from clients.session import Session
from clients.store import Store
from fl.binning import Binning
from fl.config.scorecard import ScorecardConfig
from fl.encrypted_sums import added, new_responder, sums_of_shares
from fl.encrypted_sums.wire import take
from fl.errors import ProtocolError
from fl.hybrid_scorecard import (
    Binned,
    BinRequest,
    CountRequest,
    FinishRequest,
    FitRequest,
    GradientRequest,
    Joined,
    JoinRequest,
    Masks,
    PointsRequest,
    Revealed,
    RevealRequest,
    StepRequest,
)
from fl.messages import Letter
from fl.scorecard import EncryptedSums, Finished, Labels, Masked, OpenedSums, Residual, Stepped, Told
from fl.splits import TRAIN
from fl.tables import Table

TOTAL = "total"
"""Name of the array that `OpenedSums` holds here: the total of the banks' shares, int64 (sums,)."""


@dataclass(frozen=True)
class Studies:
    """The sub-studies of all banks that train the model, sorted by name."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Mask:
    """What hides the sums of a step from the bank, int64 (sums,), until those of all banks are added."""

    step: int
    numbers: NDArray[np.int64]


def join(session: Session, request: JoinRequest) -> Joined:
    """Keep who trains at this bank, and which banks there are."""
    if len(set(request.studies)) < 2:
        raise ProtocolError("a scorecard of several banks needs the sub-studies of all of them")
    aligned_studies(session, request.studies)
    start_model(session, request.seed, request.split)
    session.store.keep(Studies(tuple(sorted(set(request.studies)))))
    return Joined()


def bin_columns(session: Session, request: BinRequest) -> Binned:
    """Bin the party's columns by the training rows of all banks, and count these in each bin."""
    models, names = _models(session), session.store.read(Studies).names
    tables = [read_table(store) for store in aligned_studies(session, names)]
    joined, config = Table.stacked(tables), session.config.section(ScorecardConfig)
    training = np.flatnonzero(np.concatenate([model.read(Start).roles for model in models]) == TRAIN)
    signs = {column.name: column.sign for column in session.declaration.columns}
    binning = Binning.fit(joined, training, config.bins, config.min_group, signs, special=True)
    session.store.keep(binning.with_codes_of(read_table(session.study), joined))
    learned = binning.transform(joined, training[joined.known[training]])
    return Binned(Letter.of(counted(session, binning.shape, learned)))


def count(session: Session, request: CountRequest) -> Masked:
    """Add up the encrypted labels by bin, under a mask."""
    setup, labels = read_setup(session), request.labels.read(Labels)
    session.store.keep(ResponderKey(labels.residual_key))
    bins, counts = with_unknown(setup.codes[setup.training], setup.binning.shape.bins)
    encryption = session.config.section(ScorecardConfig).encryption
    responder = new_responder(encryption, _rows(session), LABEL_RANGES, labels.label_key)
    sums, mask = responder.masked_sums(labels.encrypted, one_group(bins), bins, counts)
    session.store.keep(Mask(session.envelope.step, responder.mask_of(mask)))
    return Masked(Letter.of(EncryptedSums(sums)))


def reveal(session: Session, request: RevealRequest) -> Revealed:
    """Tell the bank the total of the masks of all banks: with it, it can read the total of the labels' sums."""
    return Revealed(Letter.of(Masks(_masks(session, LABEL_RANGES))))


def fit(session: Session, request: FitRequest) -> Masked:
    """Take the groups, work out the bound on the curvature by the rows of all banks, and begin with weights of zero."""
    setups, tables = _setups(session), aligned_studies(session, session.store.read(Studies).names)
    known = [
        setup.training & read_table(study).known[setup.positions]
        for setup, study in zip(setups, tables, strict=True)
    ]
    codes = np.concatenate([setup.codes[rows] for setup, rows in zip(setups, known, strict=True)])
    grouping = grouping_of(session, request.groups)
    begun = begin_fit(session, grouping, codes, all_known=len(codes) == _rows(session))
    return _masked(session, begun, no_steps(grouping), request.residual)


def gradient(session: Session, request: GradientRequest) -> Masked:
    """Go to where the residual is, and add it up by group, under a mask."""
    return _masked(session, session.store.read(Fit), session.state(Steps), request.residual)


def step(session: Session, request: StepRequest) -> Stepped:
    """Take a step by the gradient over the rows of all banks, and tell where it leads in those of this bank."""
    state, counts = session.state(Masking), session.store.read(Fit).grouping.counts + 1
    ranges = residual_ranges(session.config.section(ScorecardConfig))
    total = take(request.sums.read(OpenedSums).sums, TOTAL, np.int64, (int(counts.sum()),))
    sums = sums_of_shares(total, _masks(session, ranges), _rows(session), ranges, counts)
    return take_step(session, state, sums)


def finish(session: Session, request: FinishRequest) -> Finished:
    """Keep the weights of the last step, as points, and forget the last mask."""
    session.store.remove(Mask)
    return keep_points(session)


def points(session: Session, request: PointsRequest) -> Told:
    """What the columns tell, the points of every position of this bank, and where they are lost."""
    return tell_points(session)


def _masked(session: Session, begun: Fit, taken: Steps, letter: Letter[Residual]) -> Masked:
    """The sums of the residual under a mask, which is kept beside the state: the other sessions read it."""
    rows = _rows(session)
    masked, masking = masked_sums(session, begun, taken, letter, rows)
    session.store.keep(Mask(session.envelope.step, responder_of(session, rows).mask_of(masking.mask)))
    session.keep(masking)
    return masked


def _masks(session: Session, ranges: tuple[tuple[int, int], ...]) -> NDArray[np.int64]:
    """The total of the masks of the last sums of all banks."""
    masks = [model.read(Mask) for model in _models(session) if model.has(Mask)]
    if {mask.step for mask in masks} != {session.envelope.step - 1} or len(masks) < len(_models(session)):
        raise ProtocolError("the sums of all banks have to be masked before their masks are added")
    return added([mask.numbers for mask in masks], _rows(session), ranges)


def _models(session: Session) -> list[Store]:
    """Where the party keeps its part of the model in each bank's sub-study."""
    names = session.store.read(Studies)
    models = [session.earlier(study, session.envelope.model) for study in names.names]
    if not all(model.has(Studies) and model.read(Studies) == names for model in models):
        raise ProtocolError("the model has to be begun in the sub-studies of all banks, with the same banks")
    return models


def _setups(session: Session) -> list[Setup]:
    """The rows of all banks, and the party's bins in them."""
    studies = session.store.read(Studies).names
    return [
        setup_of(model.folder, session.earlier(study).folder)
        for model, study in zip(_models(session), studies, strict=True)
    ]


def _rows(session: Session) -> int:
    """How many rows train at all banks together: for so many the banks' keys are made."""
    return sum(int((model.read(Start).roles == TRAIN).sum()) for model in _models(session))
