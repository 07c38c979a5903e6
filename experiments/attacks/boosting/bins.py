"""What the bank could learn of a passive party's bins of single rows from outcomes and from the sums that it opens.

Judged by the share of training rows whose bin is named rightly, and of test rows, on which every split is told. The
yardsticks: the guess of the largest bin, and a random forest on the bank's own columns and label, fitted on rows whose
bins the bank knows.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from experiments.attacks.boosting.matching import match, named
from experiments.attacks.boosting.opened import Flags, Knowledge, knowledge, scored, true_bins
from experiments.attacks.boosting.raking import allowed_prior, rake
from experiments.attacks.boosting.recording import Recording
from experiments.attacks.network.features import KNOWN
from experiments.attacks.report import Attack

FOUND = ("bins", "largest", "own", "splits", "sums", "matched", "both", "sure", "scored")


def reconstruct(recording: Recording, party: str, rng: np.random.Generator) -> pd.DataFrame:
    """The share of right bins per column of a party, and how many `bins` there are.

    `largest` bin everywhere; `own` columns; the outcomes of `splits`; the `sums`, and by them alone the share `matched`
    with certainty, since all other bins are ruled out; `both` splits and sums, and the share `sure` by them. Last the
    share of test rows, from the outcomes by which they are `scored`.
    """
    joined, known = recording.joined, knowledge(recording, party)
    truth = true_bins(recording, party, known.rows)
    inputs = np.column_stack([recording.own_inputs(joined.holder), joined.labels])[known.rows]
    tested, possible = scored(recording, party)
    of_tested = true_bins(recording, party, tested)
    results = {}
    for number, name in enumerate(joined.tables[party].names):
        of_scores = allowed_prior(known.sizes(number), possible[number]).argmax(axis=1)
        results[name] = {
            "bins": known.allowed[number].shape[1],
            "own": _by_own_columns(inputs, truth[:, number], rng),
            "scored": (of_scores == of_tested[:, number]).mean(),
        } | {way: (bins == truth[:, number]).mean() for way, bins in by_knowledge(known, number).items()}
    return pd.DataFrame.from_dict(results, orient="index", columns=list(FOUND))


COLUMNS = Attack(
    recording=Recording,
    play=reconstruct,
    title="In which bins of {party}'s columns the bank could tell rows to be, from …",
    first="column (bins)",
    caption=(
        "Share of rows. largest: always the largest bin; own: the bank's own columns and 500 rows that it knows; "
        "matched and sure: by sums and by both, where no other bin is possible; scored: of test rows, by what scoring "
        "them tells."
    ),
    counts="bins",
)


def by_knowledge(known: Knowledge, column: int) -> dict[str, NDArray[np.int64]]:
    """The bin (r,) that each way of the bank's names for every row in a column; −1 where it names none."""
    sizes, allowed = known.sizes(column), known.allowed[column]
    by_sums, by_both = (_matched(known, column, flags) for flags in (np.ones_like(allowed), allowed))
    return {
        "largest": np.full(len(allowed), sizes.argmax()),
        "splits": allowed_prior(sizes, allowed).argmax(axis=1),
        "sums": rake(known.measured, column, allowed_prior(sizes, by_sums)).argmax(axis=1),
        "matched": named(by_sums),
        "both": rake(known.measured, column, allowed_prior(sizes, by_both)).argmax(axis=1),
        "sure": named(by_both),
    }


def _matched(known: Knowledge, column: int, allowed: Flags) -> Flags:
    """Bins left after matching; where sums that are not what they seem leave none, those allowed before."""
    left = match(known.measured, column, allowed)
    return np.where(left.any(axis=1)[:, None], left, allowed)


def _by_own_columns(
    inputs: NDArray[np.floating], truth: NDArray[np.uint8], rng: np.random.Generator
) -> float:
    """The share of right bins on unknown rows."""
    order = rng.permutation(len(truth))
    known, unknown = np.split(order, [min(KNOWN, len(order) // 2)])
    forest = RandomForestClassifier(random_state=int(rng.integers(1 << 31)))
    return float(forest.fit(inputs[known], truth[known]).score(inputs[unknown], truth[unknown]))
