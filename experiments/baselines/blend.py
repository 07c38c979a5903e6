"""The blend without a federation: of models that were trained on the same tables, by the rule of `fl/blend.py`."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from experiments.baselines import Fitted
from fl import blend
from fl.splits import VALIDATION, Roles


def train(
    members: Mapping[str, NDArray[np.float64]], labels: NDArray[np.int8], roles: Roles, seed: int
) -> Fitted:
    """Blend models by their log odds (n,) of all rows. Raises ProtocolError for fewer than two."""
    validation = roles == VALIDATION
    judged = {name: log_odds[validation] for name, log_odds in members.items()}
    blended = blend.fit(judged, labels[validation], seed)
    return Fitted(
        blended.log_odds(members), [], {"members": blend.table(blended, judged, labels[validation])}
    )
