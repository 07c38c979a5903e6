"""What the bank could learn of a passive party's columns from the first embeddings and the known initial weights.

The weights of a fresh bottom model follow from the seed, the party's name and its number of inputs, so the first
embeddings are a known linear map of the inputs. There are fewer embeddings than inputs, but the inputs of a column
belong together: how the encoding of any column varies is public. The attack is the best linear estimate by that; it
knows how many quantiles, levels and gaps each column has, and no row.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import block_diag

from experiments.attacks.network.features import r2
from experiments.attacks.network.recording import Recording
from experiments.attacks.report import Attack
from fl.config.network import NetworkConfig
from fl.network import Floats
from fl.network.models import new_bottom
from fl.network.preprocessing import Encoder, NumericEncoder
from fl.splits import TRAIN

SIMULATED = 2_000
"""Rows by which the encoding of a column is simulated."""
_MISSING = 0.1
_TINY = 1e-6


def reconstruct(recording: Recording, party: str, rng: np.random.Generator) -> pd.DataFrame:
    """R² per numeric column of a party in the rows of the first batch.

    `own` from the bank's own columns, for comparison, which knows rows; `initial` from the first embeddings.
    """
    table, config = recording.joined.tables[party], recording.config.section(NetworkConfig)
    encoder = Encoder.fit(table, np.flatnonzero(recording.roles == TRAIN), config.bins)
    rows, embeddings = recording.first_embeddings(party)
    fresh = new_bottom(encoder.width, recording.seed, party, config).module.linear
    weights, bias = fresh.weight.detach().numpy(), fresh.bias.detach().numpy()
    estimated = invert(embeddings, weights, bias, *prior(encoder, config.bins, rng))
    bank, true = recording.own_inputs(recording.joined.holder)[rows], encoder.transform(table, rows)
    results, place = {}, 0
    for name, column, values in zip(table.numeric_names, encoder.numeric, table.numeric[rows].T, strict=True):
        if len(column.mean):
            # The first input of a column is its normal score.
            found = np.corrcoef(estimated[:, place], true[:, place])[0, 1] ** 2
            results[name] = {"own": r2(bank, values, rng), "initial": found}
        place += column.width
    return pd.DataFrame.from_dict(results, orient="index", columns=["own", "initial"])


def invert(
    embeddings: Floats,
    weights: Floats,
    bias: Floats,
    mean: NDArray[np.float64],
    covariance: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The best linear estimate of inputs (n, inputs) by embeddings (n, e) under known weights, from their moments."""
    of_embeddings = weights @ covariance @ weights.T
    gain = covariance @ weights.T @ np.linalg.pinv(of_embeddings, rcond=_TINY, hermitian=True)
    return np.asarray(mean + (embeddings - bias - weights @ mean) @ gain.T, np.float64)


def prior(
    encoder: Encoder, bins: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (inputs,) and covariance (inputs, inputs) of independent columns that are encoded alike.

    Of the encoder only the number of quantiles, levels and gaps counts.
    """
    blocks = [_simulated(column, bins, rng) for column in encoder.numeric]
    blocks += [np.eye(len(levels))[rng.integers(0, len(levels), SIMULATED)] for levels in encoder.levels]
    covariances = [np.cov(block.T).reshape(block.shape[1], block.shape[1]) for block in blocks]
    return np.concatenate([block.mean(axis=0) for block in blocks]), block_diag(*covariances)


def _simulated(column: NumericEncoder, bins: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Inputs (n, width) of a column with as many quantiles, and gaps if it has any."""
    quantiles = len(column.edges)
    values = rng.normal(size=SIMULATED)
    if quantiles <= bins:
        values = rng.integers(0, max(1, quantiles), SIMULATED).astype(np.float64)
    if column.flagged:
        values[rng.random(SIMULATED) < _MISSING] = np.nan
    simulated = NumericEncoder.fit(values, bins).transform(values)
    # Where ties make fewer quantiles than there are values, the last pieces are taken not to vary.
    inputs = np.zeros((SIMULATED, column.width))
    shared = min(column.width, simulated.shape[1])
    inputs[:, :shared] = simulated[:, :shared]
    return inputs


INITIAL = Attack(
    recording=Recording,
    play=reconstruct,
    title="What the bank could reconstruct of {party}'s columns (R²) by the initial weights from …",
    first="column",
    caption="In the rows of the first batch. own columns: the bank's, and 500 rows; first embeddings: no row.",
    headings={"own": "own columns", "initial": "first embeddings"},
)
