"""What the coordinator could learn of single rows from the evaluation that the bank sends it.

The message has no gradients and no rows. What could point at rows is a step of a curve or a bin that holds too few.
"""

import numpy as np

from fl.evaluation import Evaluation


def smallest_group(evaluation: Evaluation, rows: int) -> int:
    """The fewest applicants, of `rows` judged, that stand behind any step or bin of the message."""
    tables = evaluation.tables
    bads = round(evaluation.metrics["bad_rate"] * rows)
    by_class = tables["distribution"]["bads"] * bads + tables["distribution"]["goods"] * (rows - bads)
    return int(
        min(
            np.diff(tables["gain"]["applicants"]).min() * rows + 1e-6,
            by_class.round().min(),
            tables["calibration"]["applicants"].min(),
            tables["deciles"]["applicants"].min(),
        )
    )
