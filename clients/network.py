"""A party's half of the split network; see `fl/network` for the conversation and the mathematics."""

from collections.abc import Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import log_loss, roc_auc_score
from torch import nn

from clients.aligned import read_applications, read_coverage, read_table
from clients.evaluation import keep_scores
from clients.session import Session
from clients.store import Store
from fl.arrays import check_integers, check_names, check_numbers
from fl.config.network import NetworkConfig
from fl.config.run import RunConfig
from fl.errors import ProtocolError
from fl.network import (
    BackwardRequest,
    Embeddings,
    EmbedRequest,
    Finished,
    FinishRequest,
    Floats,
    ForwardRequest,
    Gradients,
    ScoreRequest,
    Started,
    StartRequest,
    inference,
)
from fl.network.defence import defend
from fl.network.models import Bottom, Part, Top, backward_embeddings, new_bottom, new_top, predict
from fl.network.models import backward as backward_top
from fl.network.models import embed as embed_inputs
from fl.network.preprocessing import Encoder
from fl.scoring import Scored
from fl.seeds import generator
from fl.splits import TEST, TRAIN, VALIDATION
from fl.tables import Table

# Batches are small: more threads wait for each other longer than they work, and their number would change sums.
torch.set_num_threads(1)

_ENCODER, _START, _MODEL, _BEST = "encoder", "start", "model", "best/"
_EMBEDDINGS = "embeddings"
_NO_EMBEDDINGS = np.empty((0, 0), np.float32)


def start(session: Session, request: StartRequest) -> Started:
    """Fit the preprocessing, set up the own part, and at the bank the top model."""
    config, table = session.config.network, read_table(session.study)
    if session.envelope.step != 1:
        raise ProtocolError("a model is started once")
    check_integers("roles", request.roles, len(table), TRAIN, TEST + 1)
    encoder = Encoder.fit(table, np.flatnonzero(request.roles == TRAIN), config.bins)
    if not encoder.width:
        raise ProtocolError("none of its columns tells the training rows apart")
    session.store.write(_ENCODER, encoder.to_arrays())
    session.store.write(_START, {"roles": request.roles, "seed": np.array(request.seed)})
    bottom = new_bottom(encoder.width, request.seed, session.party.declaration.name, config)
    parts = {"bottom": bottom}
    if session.party.declaration.label is not None:
        training = read_applications(session.study).labels[request.roles == TRAIN]
        passive = len(read_coverage(session.study))
        parts["top"] = new_top(passive, float(training.mean()), request.seed, config)
    session.state = _states(parts) | _best(parts) | {"best_auc": np.array(-1.0)}
    return Started(encoder.width, len(bottom.weights()))


def forward(session: Session, request: ForwardRequest) -> Embeddings:
    """A passive party: keep the weights if they are the best, learn from the last batch, embed the next."""
    local = _Local(session)
    bottom = local.bottom
    best = _best({"bottom": bottom}) if request.keep else _kept(session.state)
    last = session.state.get("positions", np.empty(0, np.int32))
    check_numbers("gradient", request.gradient, (len(last), session.config.network.embedding))
    check_integers("positions", request.positions, None, 0, len(local.table))
    if (
        "positions" in session.state
    ):  # a batch of which this party knows no row is a step of its optimiser, too
        backward_embeddings(bottom, local.inputs(session.state["positions"]), request.gradient)
        bottom.update()
    positions = request.positions[local.table.known[request.positions]]
    session.state = _states({"bottom": bottom}) | best | {"positions": positions}
    validation = local.embeddings(local.rows(VALIDATION)) if request.evaluate else _NO_EMBEDDINGS
    return Embeddings(local.embeddings(positions), validation)


def backward(session: Session, request: BackwardRequest) -> Gradients:
    """The bank: judge the weights where validation embeddings came, then learn from the batch."""
    local = _Local(session)
    top = local.top()
    best, best_auc = _kept(session.state), float(session.state["best_auc"])
    validation_auc = validation_loss = float("nan")
    improved = False
    local.check_batch(request.positions)
    if request.evaluate:
        rows = local.rows(VALIDATION)
        pd, labels = local.predict(top, rows, request.validation), local.labels[rows]
        validation_auc, validation_loss = float(roc_auc_score(labels, pd)), float(log_loss(labels, pd))
        improved = validation_auc > best_auc
        if improved:
            best, best_auc = _best({"bottom": local.bottom, "top": top}), validation_auc
    positions = request.positions
    others, known = local.joined(positions, request.batch)
    present = known & ~local.dropped(known.shape)
    gradients, loss = backward_top(
        local.bottom, top, local.inputs(positions), others, present, local.labels[positions]
    )
    if not np.isfinite(loss):
        raise ProtocolError("training diverged: the loss is not finite; lower network.learning-rate")
    local.bottom.update()
    top.update()
    session.state = _states({"bottom": local.bottom, "top": top}) | best | {"best_auc": np.array(best_auc)}
    defended = {
        party: defend(gradient[known[:, k]], session.config.network)
        for k, (party, gradient) in enumerate(zip(local.coverage, gradients, strict=True))
    }
    return Gradients(defended, loss, validation_auc, validation_loss, improved)


def finish(session: Session, request: FinishRequest) -> Finished:
    """Return to the best weights, which from here on are the model."""
    best = _best({"bottom": _Local(session).bottom}) if request.keep else _kept(session.state)
    weights = {name.removeprefix(_BEST): array for name, array in best.items()}
    session.store.write(_MODEL, weights)
    session.state = {}
    return Finished()


def embed(session: Session, request: EmbedRequest) -> Embeddings:
    """A passive party: the final model's embeddings of all that it knows."""
    found = contribution(session.store, read_table(session.study), session.config)
    return Embeddings(found[_EMBEDDINGS], _NO_EMBEDDINGS)


def score(session: Session, request: ScoreRequest) -> Scored:
    """The bank: the PD of every position by the final model, kept here, and its evaluation on the test rows."""
    table, coverage = read_table(session.study), read_coverage(session.study)
    contributions = {party: {_EMBEDDINGS: found} for party, found in request.embeddings.items()}
    found = log_odds(session.store, table, coverage, contributions, session.config)
    _, roles, _ = _setup(session.store.folder)
    return keep_scores(session, found, roles)


def contribution(model: Store, table: Table, config: RunConfig) -> dict[str, NDArray[Any]]:
    """What a passive party adds to the score of the rows of a table: embeddings of those that it knows."""
    encoder, _, _ = _setup(model.folder)
    bottom = _final(model, "bottom", Bottom(encoder.width, config.network), config)
    return {_EMBEDDINGS: inference.embed(bottom, encoder.transform(table, np.flatnonzero(table.known)))}


def log_odds(
    model: Store,
    table: Table,
    coverage: Mapping[str, NDArray[np.bool_]],
    contributions: Mapping[str, Mapping[str, NDArray[Any]]],
    config: RunConfig,
) -> NDArray[np.float64]:
    """At the bank: the log odds of default of the rows of a table, (n,), with every passive party's `contribution`.

    coverage says which rows each passive party knows, bool (n,), in the order of the training.
    """
    encoder, _, _ = _setup(model.folder)
    bottom = _final(model, "bottom", Bottom(encoder.width, config.network), config)
    top = _final(model, "top", Top(len(coverage), config.network), config)
    check_names("embeddings", contributions, coverage)
    for party, found in contributions.items():
        check_names(f"contribution of {party}", found, [_EMBEDDINGS])
    everyone = np.arange(len(table))
    embeddings = {party: contributions[party][_EMBEDDINGS] for party in coverage}
    others, known = _joined(coverage, everyone, embeddings, config.network)
    return inference.log_odds(bottom, top, encoder.transform(table, everyone), others, known)


def _final(model: Store, name: str, module: nn.Module, config: RunConfig) -> Part:
    part = Part(module, config.network)
    part.set_weights(model.read(_MODEL)[name])
    return part


def _joined(
    coverage: Mapping[str, NDArray[np.bool_]],
    positions: NDArray[np.int_],
    embeddings: Mapping[str, Floats],
    config: NetworkConfig,
) -> tuple[list[Floats], NDArray[np.bool_]]:
    """Each passive party's embeddings at its places (zeros elsewhere), and presence (n, passive)."""
    known = np.column_stack([np.empty((len(positions), 0), bool), *(k[positions] for k in coverage.values())])
    check_names("embeddings", embeddings, coverage)
    others = []
    for column, party in enumerate(coverage):
        shape = int(known[:, column].sum()), config.embedding
        check_numbers(f"embeddings of {party}", embeddings[party], shape)
        full = np.zeros((len(positions), config.embedding), np.float32)
        full[known[:, column]] = embeddings[party]
        others.append(full)
    return others, known


class _Local:
    """This party's side of the model at one message: its data, its preprocessing, its parts as they stand."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._config = session.config.network
        self.table = read_table(session.study)
        self.encoder, self.roles, self._seed = _setup(session.store.folder)
        self.bottom = self._restored("bottom", Bottom(self.encoder.width, self._config))

    @cached_property
    def coverage(self) -> dict[str, NDArray[np.bool_]]:
        """At the bank: which positions each passive party knows."""
        return read_coverage(self._session.study)

    @cached_property
    def labels(self) -> NDArray[np.int8]:
        """At the bank: the label at each position."""
        return read_applications(self._session.study).labels

    def top(self) -> Part:
        """At the bank: the top model."""
        return self._restored("top", Top(len(self.coverage), self._config))

    def rows(self, role: int) -> NDArray[np.int_]:
        """The positions of a role that this party knows."""
        return np.flatnonzero((self.roles == role) & self.table.known)

    def inputs(self, positions: NDArray[np.int_]) -> Floats:
        """The bottom model's inputs at some positions."""
        return self.encoder.transform(self.table, positions)

    def embeddings(self, positions: NDArray[np.int_]) -> Floats:
        """Embeddings of those of the positions that this party knows, in their order."""
        return embed_inputs(self.bottom, self.inputs(positions[self.table.known[positions]]))

    def check_batch(self, positions: NDArray[np.int_]) -> None:
        """At the bank: only training rows may be asked for, since a gradient answers with something of the label."""
        check_integers("positions", positions, None, 0, len(self.roles))
        if not len(positions) or (self.roles[positions] != TRAIN).any():
            raise ProtocolError("a batch must consist of training rows")

    def joined(
        self, positions: NDArray[np.int_], embeddings: Mapping[str, Floats]
    ) -> tuple[list[Floats], NDArray[np.bool_]]:
        """At the bank: each passive party's embeddings at its places (zeros elsewhere), and presence (n, passive)."""
        return _joined(self.coverage, positions, embeddings, self._config)

    def predict(
        self, top: Part, positions: NDArray[np.int_], embeddings: Mapping[str, Floats]
    ) -> NDArray[np.float64]:
        """At the bank: the PD at some positions."""
        others, known = self.joined(positions, embeddings)
        return predict(self.bottom, top, self.inputs(positions), others, known)

    def dropped(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """At the bank: which passive embeddings this batch does without."""
        rng = generator(self._seed, "dropout", str(self.bottom.steps))
        return rng.random(shape) < self._config.party_dropout

    def _restored(self, name: str, module: nn.Module) -> Part:
        part, prefix, state = Part(module, self._config), f"{name}/", self._session.state
        part.restore({key.removeprefix(prefix): state[key] for key in state if key.startswith(prefix)})
        return part


# The same at every message of a model, so a worker process reads it once.
@lru_cache(maxsize=8)
def _setup(folder: Path) -> tuple[Encoder, NDArray[np.int8], int]:
    store = Store(folder)
    start = store.read(_START)
    return Encoder.from_arrays(store.read(_ENCODER)), start["roles"], int(start["seed"])


def _states(parts: Mapping[str, Part]) -> dict[str, NDArray[Any]]:
    return {f"{name}/{key}": array for name, part in parts.items() for key, array in part.state().items()}


def _best(parts: Mapping[str, Part]) -> dict[str, NDArray[Any]]:
    return {_BEST + name: part.weights() for name, part in parts.items()}


def _kept(state: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {key: array for key, array in state.items() if key.startswith(_BEST)}
