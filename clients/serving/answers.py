"""An answer to an applicant as JSON, the same from the reserve model at once and from the federated model later."""

from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from fl.scorecard.points import REASONS

_FIELDS = ("score", "pd", "parties", "model", "review")
_REASON = {"code": "reason", "adds": "adds", "text": "text", "text_zh": "text_zh"}
_ENCODER = msgspec.json.Encoder()


def answers_in_json(columns: Mapping[str, NDArray[np.generic]]) -> list[str]:
    """The answers of `clients.scoring.Answers`, one for each row, with up to four reasons, worst first."""
    fields = [columns[name].tolist() for name in _FIELDS]
    reasons = [
        [columns[f"{prefix}_{number}"].tolist() for prefix in _REASON.values()]
        for number in range(1, REASONS + 1)
        if f"reason_{number}" in columns  # A model of fewer features has fewer reasons.
    ]
    answers = []
    for row, values in enumerate(zip(*fields, strict=True)):
        told = [
            dict(zip(_REASON, (of_rows[row] for of_rows in reason), strict=True))
            for reason in reasons
            if reason[0][row]
        ]
        answers.append(_ENCODER.encode(dict(zip(_FIELDS, values, strict=True)) | {"reasons": told}).decode())
    return answers
