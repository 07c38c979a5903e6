"""The one place where the metrics' arguments are checked, so that all refuse the same input alike."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]


def check_labels(labels: ArrayLike, *, each_class: int = 1) -> Booleans:
    """Return `labels` as booleans (n,), True = bad; ValueError unless both classes have `each_class` rows."""
    given = np.asarray(labels)
    if given.ndim != 1:
        raise ValueError(f"labels must have one dimension, not shape {given.shape}")
    if not np.isin(given, (0, 1)).all():
        raise ValueError("labels must be 0 (good) or 1 (bad), without missing values")
    bads = given.astype(bool)
    for name, count in (("bads", int(bads.sum())), ("goods", int((~bads).sum()))):
        if count < each_class:
            raise ValueError(f"the labels hold {count} {name}; this measure needs at least {each_class}")
    return bads


def check_scores(scores: ArrayLike, rows: int | None = None) -> Floats:
    """Return `scores` as finite floats (n,); ValueError if they are not, or are not `rows` long."""
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"scores must have one dimension, not shape {values.shape}")
    if rows is not None and len(values) != rows:
        raise ValueError(f"there are {rows} labels but {len(values)} scores")
    if not np.isfinite(values).all():
        raise ValueError(f"{int((~np.isfinite(values)).sum())} of {len(values)} scores are NaN or infinite")
    return values


def check_pd(pd: ArrayLike, rows: int | None = None) -> Floats:
    """Return `pd` as floats (n,) in [0, 1]; ValueError if they are not, or are not `rows` long."""
    values = check_scores(pd, rows)
    if len(values) and (values.min() < 0 or values.max() > 1):
        raise ValueError(f"probabilities must lie in [0, 1]; these span {values.min():g} to {values.max():g}")
    return values


def check_share(name: str, value: float) -> float:
    """Return `value` if it lies in [0, 1]; else ValueError, naming it."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must lie in [0, 1], not {value:g}")
    return float(value)


def normal_quantile(level: float) -> float:
    """Half-width of a two-sided normal interval of confidence `level` in standard errors: 1.96 for 0.95."""
    if not 0 < level < 1:
        raise ValueError(f"the confidence level must lie strictly between 0 and 1, not {level:g}")
    return float(special.ndtri(0.5 + level / 2))
