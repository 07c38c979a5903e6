"""The blend without a federation: of models that were trained on the same tables, by the rule of `fl/blend.py`."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from experiments.baselines import Fitted
from fl.blend import blended
from fl.splits import Roles


def train(
    members: Mapping[str, NDArray[np.float64]], labels: NDArray[np.int8], roles: Roles, seed: int
) -> Fitted:
    """Blend models by their log odds (n,) of all rows. Raises ProtocolError for fewer than two."""
    blend, table = blended(members, labels, roles, seed)
    return Fitted(blend.log_odds(members), [], {"members": table})
