"""A trained split network at work: what a passive party tells of its rows, and what the bank makes of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clients.store import Store
from fl.arrays import check_names, check_numbers
from fl.config.network import NetworkConfig
from fl.config.run import RunConfig
from fl.explanation import ALL, BANK, Explanation, Feature
from fl.network import Embeddings, Floats, inference
from fl.network.contributions import contributions as contributions_of
from fl.network.models import Bottom, Top, set_weights
from fl.network.preprocessing import Encoder
from fl.tables import Table

ANSWERS_ALL = False
"""The reserve model has a say on businesses that no passive party knows; see `clients/scoring.py`."""
_DIVERGED = "; if training diverged, lower network.learning-rate"

BOTTOM, TOP = "bottom", "top"
"""The names of a party's models: each party has a bottom model, and the bank has the top model as well."""


@dataclass(frozen=True)
class Model:
    """What a party keeps of a trained network: the weights of each of its models, float32 (w,) by name."""

    weights: Mapping[str, Floats]


def is_trained(model: Store) -> bool:
    """Whether a store holds a party's part of a trained network."""
    return model.has(Model)


def contribution(model: Store, table: Table, config: RunConfig) -> Embeddings:
    """What a passive party adds to the score of the rows of a table: embeddings of those that it knows."""
    bottom, encoder = _bottom(model, config.section(NetworkConfig))
    return Embeddings(inference.embed(bottom, encoder.transform(table, np.flatnonzero(table.known))))


def log_odds(
    model: Store,
    table: Table,
    coverage: Mapping[str, NDArray[np.bool_]],
    contributions: Mapping[str, Embeddings],
    config: RunConfig,
) -> NDArray[np.float64]:
    """At the bank: the log odds of default of the rows of a table, (n,), with every passive party's `contribution`.

    coverage says which rows each passive party knows, bool (n,), in the order of the training.
    """
    bottom, encoder, top, passive, present = _joined(model, table, coverage, contributions, config)
    inputs = encoder.transform(table, np.arange(len(table)))
    return inference.log_odds(bottom, top, inputs, passive, present)


def explain(
    model: Store,
    table: Table,
    coverage: Mapping[str, NDArray[np.bool_]],
    contributions: Mapping[str, Embeddings],
    config: RunConfig,
) -> Explanation:
    """At the bank: how the log odds of the rows of a table come about, by `fl/network/contributions.py`.

    The columns of a passive party are one feature. The base takes up what single precision rounds.
    """
    bottom, encoder, top, passive, present = _joined(model, table, coverage, contributions, config)
    inputs = encoder.transform(table, np.arange(len(table)))
    of_parties, of_inputs = contributions_of(bottom, top, inputs, encoder.mean, passive, present)
    features = {
        Feature(BANK, int(number)): of_inputs[:, encoder.columns == number].sum(axis=1)
        for number in np.unique(encoder.columns)
    }
    features |= {Feature(party, ALL): added for party, added in zip(coverage, of_parties.T, strict=True)}
    explained = inference.log_odds(bottom, top, inputs, passive, present)
    return Explanation(explained - np.sum(list(features.values()), axis=0), features)


def _joined(
    model: Store,
    table: Table,
    coverage: Mapping[str, NDArray[np.bool_]],
    contributions: Mapping[str, Embeddings],
    config: RunConfig,
) -> tuple[Bottom, Encoder, Top, list[Floats], NDArray[np.bool_]]:
    """The bank's models, and what the passive parties add; see `placed`."""
    network = config.section(NetworkConfig)
    bottom, encoder = _bottom(model, network)
    top = Top(len(coverage), network)
    set_weights(top, model.read(Model).weights[TOP])
    embeddings = {party: contribution.embeddings for party, contribution in contributions.items()}
    return bottom, encoder, top, *placed(embeddings, coverage, np.arange(len(table)), network)


def answers(
    model: Store,
    table: Table,
    coverage: Mapping[str, NDArray[np.bool_]],
    contributions: Mapping[str, Embeddings],
    config: RunConfig,
) -> dict[str, NDArray[np.str_]]:
    """Columns of the bank's answers beside score and PD: none."""
    return {}


def placed(
    embeddings: Mapping[str, Floats],
    coverage: Mapping[str, NDArray[np.bool_]],
    rows: NDArray[np.integer[Any]],
    config: NetworkConfig,
) -> tuple[list[Floats], NDArray[np.bool_]]:
    """Embeddings that came from passive parties, each in the place of its row, and which are present.

    embeddings are float32 (k, embedding) by party, of those of the rows (n,) that it knows by its coverage. Returns
    float32 (n, embedding) per party of the coverage, with zeros where it does not know the row, and bool (n, passive).
    Raises ProtocolError for embeddings that do not fit the coverage.
    """
    check_names("embeddings", embeddings, coverage)
    present = np.zeros((len(rows), len(coverage)), bool)
    passive = []
    for column, (party, known) in enumerate(coverage.items()):
        present[:, column] = known[rows]
        shape = int(present[:, column].sum()), config.embedding
        check_numbers(f"embeddings of {party}", embeddings[party], shape, advice=_DIVERGED)
        full = np.zeros((len(rows), config.embedding), np.float32)
        full[present[:, column]] = embeddings[party]
        passive.append(full)
    return passive, present


def _bottom(model: Store, config: NetworkConfig) -> tuple[Bottom, Encoder]:
    """A party's trained bottom model, and what makes its inputs."""
    encoder = model.read(Encoder)
    bottom = Bottom(encoder.width, config)
    set_weights(bottom, model.read(Model).weights[BOTTOM])
    return bottom, encoder
