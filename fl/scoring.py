"""What the active party tells of a trained model: its evaluation on the test rows, never a row's own score."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Scored:
    """An `Evaluation` on the test rows, as its named arrays."""

    evaluation: Mapping[str, np.ndarray[Any, Any]]
