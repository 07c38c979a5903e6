"""Several banks' boosting without a federation: the same trees on the rows of all banks in one table.

It is the pooled twin of `fl/banks/boosting.py`, whose forest must equal it bit for bit, and grows each node from the
rows themselves as `boosting` does. It shares only what defines the model (the grid, samples, gradients, the search, and
the bins of the calibration): there are no addends, no levels and no differences of siblings. It knows which rows are
whose, since each bank draws the samples of its own rows.
"""

from collections.abc import Sequence

import numpy as np

from experiments.baselines import Fitted
from experiments.baselines.banks_bins import banks_bins
from experiments.baselines.boosting import Block, Floats, grow_tree, learned_gradients
from fl.banks.boosting import BANKS, LOSS_UNIT
from fl.banks.evaluation import cuts_of, outcomes, row_counts, rows_of
from fl.banks.grid import Schema
from fl.banks.program import Rows
from fl.boosting.gradients import base_score, sampled_columns, sampled_rows
from fl.calibration import Calibration
from fl.config.boosting import BoostingConfig
from fl.splits import TRAIN, VALIDATION


def train(banks: Sequence[Rows], schema: Schema, seed: int, config: BoostingConfig) -> Fitted:
    """Train with early stopping on the validation loss; log odds (n,) are of the rows of one bank after the other."""
    labels = np.concatenate([rows.labels for rows in banks])
    roles = np.concatenate([rows.roles for rows in banks])
    training, validation = roles == TRAIN, roles == VALIDATION
    of_banks = np.repeat(np.arange(len(banks)), [len(rows) for rows in banks])
    of_each = [(of_banks == bank) & training for bank in range(len(banks))]
    binning, table = banks_bins(banks, schema, config.bins, config.min_bin_count)
    codes, shape = binning.transform(table), binning.shape

    def mean_loss(scores: Floats, of_role: np.ndarray) -> float:
        losses = np.logaddexp(0, scores[of_role]) - labels[of_role] * scores[of_role]
        return float(np.rint(losses * LOSS_UNIT).sum() / LOSS_UNIT / of_role.sum())

    scores = np.full(len(labels), base_score(labels[training]))
    best, best_loss, waited = scores, mean_loss(scores, validation), 0
    curve: list[dict[str, float]] = []
    for number in range(config.rounds):
        trees = config.trees_of(number)
        samples = np.concatenate(
            [sampled_rows(rows.roles == TRAIN, seed, trees, config.row_share) for rows in banks], axis=1
        )
        numbers = learned_gradients(scores, labels, of_each, config)
        for tree, sample in zip(trees, samples, strict=True):
            used = sampled_columns(len(shape), BANKS, seed, [tree], config.column_share)[0]
            block = Block(codes, shape, used, is_bank=True)
            scores = scores + grow_tree([block], numbers, sample, config, config.learning_rate / len(trees))
        curve.append({"train.loss": mean_loss(scores, training), "valid.loss": mean_loss(scores, validation)})
        waited += 1
        if not config.patience or curve[-1]["valid.loss"] < best_loss:
            best, best_loss, waited = scores, curve[-1]["valid.loss"], 0
        if config.patience and waited >= config.patience:
            break
    calibration = Calibration()
    if config.calibrate:
        judged = best[validation]
        bins = outcomes(judged, labels[validation], cuts_of(row_counts(judged)))
        of_bins, pd = rows_of(bins)
        calibration = Calibration.fit(np.log(pd / (1 - pd)), of_bins)
    return Fitted(calibration.log_odds(best), curve)
