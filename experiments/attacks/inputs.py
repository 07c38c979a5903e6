"""A party's own columns as its network sees them: the yardstick of every attack."""

import numpy as np
from numpy.typing import NDArray

from experiments.joined import Joined
from fl.network.preprocessing import Encoder
from fl.splits import TRAIN, Roles


def own_inputs(joined: Joined, roles: Roles, party: str, bins: int) -> NDArray[np.float32]:
    """The inputs of a party's bottom model at every position, (n, inputs); zeros where it knows nothing."""
    table = joined.tables[party]
    encoder = Encoder.fit(table, np.flatnonzero(roles == TRAIN), bins)
    return encoder.transform(table, np.arange(len(table)))
