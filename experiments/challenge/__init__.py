"""Champion and challenger: what changes when one trained model takes the place of another, on the same applicants."""

from enum import StrEnum


class Inference(StrEnum):
    """How a challenge counts applicants whose outcome nobody knows (`inference`)."""

    none = "none"
    parcelling = "parcelling"
    augmentation = "augmentation"
