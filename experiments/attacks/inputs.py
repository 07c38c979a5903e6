"""A party's own columns as its network sees them: the yardstick of every attack."""

import numpy as np
from numpy.typing import NDArray

from experiments.attacks.recording import Recording
from fl.preprocessing import Encoder
from fl.splits import TRAIN


def own_inputs(recording: Recording, party: str, bins: int) -> NDArray[np.float32]:
    """The inputs of a party's bottom model at every position, (n, inputs); zeros where it knows nothing."""
    table = recording.joined.tables[party]
    encoder = Encoder.fit(table, np.flatnonzero(recording.roles == TRAIN), bins)
    return encoder.transform(table, np.arange(len(table)))
