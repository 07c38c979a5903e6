"""Named arrays of several parties in one mapping, as a message carries them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def nested(by_party: Mapping[str, Mapping[str, Array]], parties: tuple[str, ...]) -> dict[str, Array]:
    """Named arrays of several parties as one mapping; a party stands as its number, since names may be anything."""
    return {
        f"{number}/{name}": array
        for number, party in enumerate(parties)
        for name, array in by_party.get(party, {}).items()
    }


def of_party(arrays: Mapping[str, Array], number: int) -> dict[str, Array]:
    """One party's arrays in what `nested` made."""
    prefix = f"{number}/"
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
