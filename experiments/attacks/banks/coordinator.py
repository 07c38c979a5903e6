"""What the coordinator could tell from the numbers that banks show it: under pads they must be noise.

Two tests, of what every bank shows and of the totals: whether bytes are uniform (Pearson's chi-square over the 256
values), and whether a number goes with the true one that it
hides. The same tests on the numbers without pads show that they would notice.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import chisquare, rankdata

from experiments.attacks.banks import boosting, network, recording, scorecard
from experiments.attacks.report import Attack

Numbers = NDArray[np.uint64]


def p_value(vectors: Sequence[Numbers]) -> float:
    """The probability that bytes as far from uniform as these come by chance, all vectors taken as one."""
    every = np.concatenate(vectors).astype("<u8").view(np.uint8)
    return float(chisquare(np.bincount(every, minlength=256)).pvalue)


def correlation(vectors: Sequence[Numbers], true: Sequence[Numbers]) -> float:
    """Spearman's correlation of what is seen with the true numbers, as signed ones, over all vectors."""
    seen, hidden = (rankdata(np.concatenate(each).view(np.int64)) for each in (vectors, true))
    return float(np.corrcoef(seen, hidden)[0, 1])


def play(recording: recording.Recording, bank: str, rng: np.random.Generator) -> pd.DataFrame:
    """Of what each bank shows, and of the totals: both tests, under pads and without them."""
    shown = recording.shown()
    rows = {}
    for name in recording.banks:
        true = [addend.view(np.uint64) for addend in recording.addends(name)]
        # The last number is a check of the sum; sums of the evaluation come after those of the training.
        seen = [vectors[name][:-1] for vectors in shown[: len(true)]]
        rows[name] = _tests(seen, true)
    true = [one.total.view(np.uint64) for one in recording.heard(bank)]
    totals = [
        np.sum([vector[:-1] for vector in vectors.values()], axis=0, dtype=np.uint64)
        for vectors in shown[: len(true)]
    ]
    rows["total"] = _tests(totals, true)
    return pd.DataFrame.from_dict(rows, orient="index")


def _tests(seen: Sequence[Numbers], true: Sequence[Numbers]) -> dict[str, float]:
    return {
        "p-value": p_value(seen),
        "without pads": p_value(true),
        "correlation": correlation(seen, true),
    }


def attack_on(kind: type[recording.Recording]) -> Attack:
    """The attack on the models of one contender."""
    return Attack(
        recording=kind,
        play=play,
        title="What the coordinator could tell of the numbers that banks add",
        first="numbers of",
        caption=(
            "p-value: of a chi-square test that all bytes are equally frequent; without pads: the same of the numbers "
            "themselves; correlation: of both. Noise has p-values between 0 and 1, and correlation 0."
        ),
    )


BOOSTING = attack_on(boosting.Recording)
NETWORK = attack_on(network.Recording)
SCORECARD = attack_on(scorecard.Recording)
