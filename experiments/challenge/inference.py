"""What a bank can say of all applicants when it knows the outcomes of those alone whom it has accepted.

The accepted are no fair sample, since the model in use has chosen them. Reject inference (Hand and Henley 1993;
Siddiqi, "Credit Risk Scorecards", 2006) makes a sample of all applicants of what is known, by an assumption:

- `augmentation` (Hsia 1978): the accepted stand for the declined of similar risk. In each band of PD the accepted get
  the weight of all applicants of the band. It assumes that those of a band would have turned out alike, and has nobody
  to go by above the cut-off unless some were accepted there.
- `parcelling`: every declined applicant counts in part as a bad and in part as a good, by a PD times a factor. The PD
  is a logistic regression, on the accepted, of both models' log odds: that of one model alone would make its own
  ranking look right. It assumes that the models hold beyond the cut-off, up to the factor.

Neither knows more than the accepted tell; `experiments/benchmarks/reject_inference.py` measures how far off each is in
an economy, where the outcomes of the declined are known.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from experiments.challenge import Inference
from fl.calibration import Calibration
from fl.errors import ConfigError

Floats = NDArray[np.float64]
BANDS, LEAST_ACCEPTED = 10, 10
"""Of augmentation: tenths of the applicants, each with so many accepted ones or more."""


@dataclass(frozen=True)
class Sample:
    """Outcomes with weights: the numbers of the applicants (m,), labels int8 (m,) and weights float64 (m,)."""

    rows: NDArray[np.int64]
    labels: NDArray[np.int8]
    weights: Floats

    @property
    def bad_rate(self) -> float:
        """The share of bads by weight."""
        return float(np.average(self.labels, weights=self.weights))

    def auc(self, scores: Floats) -> float:
        """The AUC of scores (n,) of all applicants, rows by their weights; NaN without both classes."""
        if len(np.unique(self.labels)) < 2:
            return float("nan")
        return float(roc_auc_score(self.labels, scores[self.rows], sample_weight=self.weights))

    def recalibrate(self, log_odds: Floats) -> Calibration:
        """Intercept and slope by which a model's log odds (n,) fit the outcomes: logistic regression (Cox 1958).

        Raises ConfigError without both classes, and where more log odds go with fewer bads: no calibration mends that.
        """
        fitted = _logistic(log_odds[self.rows, None], self.labels, self.weights)
        slope, intercept = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
        if slope <= 0:
            raise ConfigError(
                "Applicants of a higher PD have defaulted no more often than others; a recalibration cannot mend "
                "that, so train again."
            )
        return Calibration(slope, intercept)


def infer(
    outcomes: Floats, champion: Floats, challenger: Floats, inference: Inference, factor: float = 1.0
) -> Sample:
    """The sample that stands for all applicants.

    outcomes (n,) are 0 or 1, NaN where unknown. champion and challenger (n,) are the log odds by the model in use and
    by the one that may take its place; factor multiplies the PDs of parcelling. Raises ConfigError if no outcome is
    known, and for parcelling without both classes.
    """
    known = np.flatnonzero(~np.isnan(outcomes))
    if not len(known):
        raise ConfigError("No outcome of these applicants is known.")
    labels, declined = outcomes[known].astype(np.int8), np.flatnonzero(np.isnan(outcomes))
    if inference is Inference.none or not len(declined):
        return Sample(known, labels, np.ones(len(known)))
    if inference is Inference.augmentation:
        return Sample(known, labels, _shares_of_bands(champion, known))
    both = np.stack([champion, challenger], axis=1)
    pds = _logistic(both[known], labels, np.ones(len(known))).predict_proba(both[declined])[:, 1]
    bad = np.minimum(factor * pds, 1.0)
    return Sample(
        np.concatenate([known, declined, declined]),
        np.concatenate([labels, np.ones(len(declined)), np.zeros(len(declined))]).astype(np.int8),
        np.concatenate([np.ones(len(known)), bad, 1 - bad]),
    )


def _logistic(inputs: Floats, labels: NDArray[np.int8], weights: Floats) -> LogisticRegression:
    """Logistic regression of labels (m,) on inputs (m, k), without a penalty. ConfigError without both classes."""
    if len(np.unique(labels)) < 2:
        raise ConfigError(
            "This needs outcomes of goods and of bads; those that are known are all of one kind."
        )
    return LogisticRegression(C=np.inf, tol=1e-9).fit(inputs, labels, sample_weight=weights)


def _shares_of_bands(log_odds: Floats, accepted: NDArray[np.int64]) -> Floats:
    """For each accepted applicant, how many of its band there are for one who is accepted, (m,).

    Bands are tenths of all applicants by log odds (n,); one with too few accepted joins the next safer one.
    """
    cuts = np.unique(np.quantile(log_odds, np.linspace(0, 1, BANDS + 1)[1:-1]))
    band = np.searchsorted(cuts, log_odds)
    counts = np.bincount(band[accepted], minlength=len(cuts) + 1)
    enough = np.flatnonzero(counts >= min(LEAST_ACCEPTED, counts.max()))
    band = enough[np.maximum(np.searchsorted(enough, band, side="right") - 1, 0)]
    everybody, of_accepted = (np.bincount(rows) for rows in (band, band[accepted]))
    return (everybody / np.maximum(of_accepted, 1))[band[accepted]]
