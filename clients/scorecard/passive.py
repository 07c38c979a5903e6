"""What a passive party does in the scorecard: bins, adds up what it cannot read, steps, and gives points."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clients.aligned import read_table
from clients.binned import read_setup
from clients.scorecard.card import tell_columns
from clients.scorecard.columns import LABEL_RANGES, bin_columns, demanded, one_group, residual_ranges
from clients.scorecard.model import PassiveModel, contribution
from clients.session import Session
from clients.store import Store
from fl.arrays import check_numbers
from fl.binning import UNKNOWN, Codes, Shape
from fl.config.scorecard import ScorecardConfig
from fl.encrypted_sums import Responder, Sums, new_responder
from fl.errors import ProtocolError
from fl.messages import Letter
from fl.records import Array
from fl.scorecard import (
    BinnedColumns,
    Counted,
    CountRequest,
    EncryptedSums,
    Finished,
    FinishRequest,
    FitRequest,
    GradientRequest,
    Groups,
    Labels,
    Masked,
    OpenedSums,
    PointsRequest,
    Residual,
    Started,
    StartRequest,
    Step,
    Stepped,
    StepRequest,
    Told,
)
from fl.scorecard.design import one_hot
from fl.scorecard.grouping import DROPPED, Grouping
from fl.scorecard.points import PointsTable, Scale
from fl.scorecard.regression import PassiveBlock, cone_of
from fl.sums import counts_by_bin


@dataclass(frozen=True)
class ResponderKey:
    """The bank's public key for residuals."""

    public_key: Mapping[str, Array]


@dataclass(frozen=True)
class Fit:
    """What a passive party fits: its groups, and the bound on the curvature (width, width) that holds for all steps."""

    grouping: Grouping
    curvature: NDArray[np.float64]


@dataclass(frozen=True)
class Steps:
    """The steps that a passive party has taken: its weights after each, and how far each went, float64 (t, width)."""

    weights: NDArray[np.float64]
    steps: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Masking:
    """What a passive party remembers while its sums are decrypted.

    taken    its steps so far
    weights  float64 (width,): where the residual is
    mask     what hides the sums from the bank
    """

    taken: Steps
    weights: NDArray[np.float64]
    mask: Mapping[str, Array]


def start(session: Session, request: StartRequest) -> Started:
    """Bin the party's columns, and count the training rows in each bin."""
    setup = bin_columns(session, request.seed, request.split)
    columns = counted(session, setup.binning.shape, setup.codes[_known_training(session)])
    return Started(Letter.of(columns))


def count(session: Session, request: CountRequest) -> Counted:
    """Add up the encrypted labels by bin."""
    setup, labels = read_setup(session), request.labels.read(Labels)
    session.store.keep(ResponderKey(labels.residual_key))
    bins, counts = with_unknown(setup.codes[setup.training], setup.binning.shape.bins)
    encryption = session.config.section(ScorecardConfig).encryption
    responder = new_responder(encryption, _rows(session), LABEL_RANGES, labels.label_key)
    sums = responder.sums(labels.encrypted, one_group(bins), bins, counts)
    return Counted(Letter.of(EncryptedSums(sums)))


def fit(session: Session, request: FitRequest) -> Masked:
    """Take the groups, work out the bound on the curvature, and begin with weights of zero."""
    setup, rows = read_setup(session), _known_training(session)
    grouping = grouping_of(session, request.groups)
    begun = begin_fit(session, grouping, setup.codes[rows], bool(rows[setup.training].all()))
    masked, masking = masked_sums(session, begun, no_steps(grouping), request.residual, _rows(session))
    session.keep(masking)
    return masked


def gradient(session: Session, request: GradientRequest) -> Masked:
    """Go to where the residual is, and add it up by group, under a mask."""
    begun, taken = session.store.read(Fit), session.state(Steps)
    masked, masking = masked_sums(session, begun, taken, request.residual, _rows(session))
    session.keep(masking)
    return masked


def step(session: Session, request: StepRequest) -> Stepped:
    """Take a step by the gradient, and tell where it leads."""
    state = session.state(Masking)
    opened = request.sums.read(OpenedSums).sums
    return take_step(session, state, responder_of(session, _rows(session)).unmask(opened, state.mask))


def finish(session: Session, request: FinishRequest) -> Finished:
    """Keep the weights of the last step, as points."""
    return keep_points(session)


def points(session: Session, request: PointsRequest) -> Told:
    """What the columns tell, the points of every position, and where they are lost."""
    return tell_points(session)


def counted(session: Session, shape: Shape, codes: Codes) -> BinnedColumns:
    """What is told of the bins (n, c) of the training rows that the party knows; the model has no points as yet."""
    # A party without a column worth its place hears nothing after it has counted.
    dropped = np.full(int(shape.bins.sum()), DROPPED, np.int16)
    _keep_model(session, Grouping(shape, dropped), np.empty(0))
    counts = counts_by_bin(codes, np.zeros(len(codes), np.int8), 1, shape.width)[0, shape.cells]
    return BinnedColumns(shape=shape, counts=counts)


def grouping_of(session: Session, letter: Letter[Groups]) -> Grouping:
    """The groups of the party's bins, as the bank has made them. Raises ProtocolError for none, or impossible ones."""
    shape = demanded(read_setup(session).binning.shape, session.config.section(ScorecardConfig))
    grouping = Grouping(shape, letter.read(Groups).groups).check()
    if not len(grouping.columns):
        raise ProtocolError("groups leave no column, so there is nothing to fit")
    return grouping


def begin_fit(session: Session, grouping: Grouping, codes: Codes, all_known: bool) -> Fit:
    """Keep the groups, and the bound on the curvature by the bins (n, c) of the training rows that the party knows.

    all_known says whether these are all training rows.
    """
    config = session.config.section(ScorecardConfig)
    design = one_hot(grouping.transform(codes), grouping.counts)
    block = PassiveBlock.of(design, cone_of(grouping), config.penalty, all_known)
    begun = Fit(grouping, block.curvature)
    session.store.keep(begun)
    return begun


def no_steps(grouping: Grouping) -> Steps:
    """Before the first step."""
    none = np.empty((0, int(grouping.counts.sum())))
    return Steps(none, none)


def masked_sums(
    session: Session, begun: Fit, taken: Steps, letter: Letter[Residual], rows: int
) -> tuple[Masked, Masking]:
    """The sums of the residual by group under a mask, and what is to be remembered until they are decrypted.

    rows is what the bank's key was made for.
    """
    residual, grouping, setup = letter.read(Residual), begun.grouping, read_setup(session)
    check_numbers("mix", residual.mix, (len(taken.weights),), np.float64)
    groups, counts = with_unknown(grouping.transform(setup.codes[setup.training]), grouping.counts)
    responder = responder_of(session, rows)
    sums, mask = responder.masked_sums(residual.encrypted, one_group(groups), groups, counts)
    masking = Masking(taken=taken, weights=residual.mix @ taken.weights, mask=mask)
    return Masked(Letter.of(EncryptedSums(sums))), masking


def take_step(session: Session, state: Masking, opened: Sums) -> Stepped:
    """A step by the sums of the residual, of each column those of its groups and of the rows that are unknown."""
    setup, begun = read_setup(session), session.store.read(Fit)
    config, grouping = session.config.section(ScorecardConfig), begun.grouping
    sums = np.concatenate([part[0, :-1, 0] for part in opened])
    known = read_table(session.study).known[setup.positions]
    design = one_hot(grouping.transform(setup.codes[known]), grouping.counts)
    block = PassiveBlock(design, cone_of(grouping), begun.curvature, config.penalty)
    after = block.step(state.weights, sums, config.precision)
    taken = Steps(
        np.concatenate([state.taken.weights, after[None]]),
        np.concatenate([state.taken.steps, (after - state.weights)[None]]),
    )
    session.keep(taken)
    return Stepped(Letter.of(Step(scores=design @ after, products=block.products(taken.steps))))


def keep_points(session: Session) -> Finished:
    """Keep the weights of the last step, as points; nothing more is to be remembered."""
    _keep_model(session, session.store.read(Fit).grouping, session.state(Steps).weights[-1])
    session.keep(None)
    return Finished()


def tell_points(session: Session) -> Told:
    """What the party tells of its columns, and the points of every position."""
    setup, table, model = read_setup(session), read_table(session.study), session.store.read(PassiveModel)
    groups = model.grouping.transform(setup.binning.transform(table)[table.known])
    card = tell_columns(session, table, model.table, model.grouping, groups, setup.roles[table.known])
    return Told(card=Letter.of(card), points=Letter.of(contribution(session.store, table, session.config)))


def _keep_model(session: Session, grouping: Grouping, weights: NDArray[np.float64]) -> None:
    """Keep the weights (all groups,) as points."""
    scale = Scale.of(session.config.section(ScorecardConfig))
    points = PointsTable.of(grouping, scale.points(weights))
    session.store.keep(PassiveModel(grouping=grouping, table=points, weights=weights))


def _known_training(session: Session) -> NDArray[np.bool_]:
    """Which of the rows that train or validate train and are known to the party, (n,)."""
    setup = read_setup(session)
    return setup.training & read_table(session.study).known[setup.positions]


def with_unknown(codes: Codes, counts: NDArray[np.int64]) -> tuple[Codes, NDArray[np.int64]]:
    """Bins (n, k) in which rows that the party does not know have one more, the last of each column."""
    return np.where(codes == UNKNOWN, counts, codes).astype(np.uint8), counts + 1


def _rows(session: Session) -> int:
    return int(read_setup(session).training.sum())


def responder_of(session: Session, rows: int) -> Responder:
    """What adds up residuals, under a key that was made for so many rows."""
    return _cached_responder(session.store.folder, session.config.section(ScorecardConfig), rows)


# An engine's responder may keep what serves many exchanges.
@lru_cache(maxsize=4)
def _cached_responder(model: Path, config: ScorecardConfig, rows: int) -> Responder:
    key = Store(model).read(ResponderKey).public_key
    return new_responder(config.encryption, rows, residual_ranges(config), key)
