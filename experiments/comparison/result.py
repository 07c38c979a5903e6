"""What came of one contender, which every comparison starts from."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fl.evaluation import Evaluation


@dataclass(frozen=True)
class Result:
    """One contender under one seed, on all test rows or on those of one of several banks.

    pd (t,) are the PDs of the test rows and labels (t,) say who of them defaulted. costs are round_trips, bytes_up,
    bytes_down, seconds and cpu_seconds. bank is empty where the rows are those of all; expected_auc is that under the
    true PDs, NaN where nobody knows them.
    """

    contender: str
    seed: int
    pd: NDArray[np.float64]
    labels: NDArray[np.int8]
    evaluation: Evaluation
    costs: Mapping[str, float]
    bank: str = ""
    expected_auc: float = float("nan")
