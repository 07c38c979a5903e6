"""Arithmetic that gives the same bits on every machine, so that equal seeds give equal data.

NumPy's basic operations (+, -, *, /, rounding, comparisons) are exact to IEEE 754, and so are the same everywhere.
Two things are not. Elementary functions differ in their last bits between processors and versions of NumPy, and
compilers for some processors fuse a multiplication with the addition that follows. One last bit can change a decision,
such as how many random numbers a Poisson draw takes, and with it all that is drawn after it.

In float64 the last bits do not matter here: such results are rounded to float32 or to steps of 1,000 CNY.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

f32, f64 = np.float32, np.float64

LOG2_E = f32(1.442695040888963407)
LN2 = (0.693145752, 1.42860677e-6)
"""ln 2 in two parts: multiples of the first are exact in float32."""
NUMERATOR = (
    5.082762527590693718096e-04,
    6.757896990527504603057e-03,
    5.114512081637298353406e-02,
    2.473615434895520810817e-01,
    7.257664613233124478488e-01,
    9.999999999980870924916e-01,
)
DENOMINATOR = (2.159509375685829852307e-02, -2.742335390411667452936e-01, 1.0)
"""Rational minimax approximation of e^r from -ln(2) / 2 to ln(2) / 2, highest power first: that of NumPy with AVX2."""


def exp(x: np.ndarray) -> np.ndarray:
    """e^x of float32 values between -87 and 88, float32, within 3 units in the last place.

    The result is that of NumPy on a processor with AVX2, bit for bit but for about one value in a billion. Each step
    is computed in float64, in which the product of two float32 is exact, and then rounded to float32, as a fused
    multiply-add would.
    """
    x = np.asarray(x, f32)
    exponent = np.rint(x * LOG2_E)
    remainder = x
    for part in LN2:
        remainder = (remainder - exponent * f64(f32(part))).astype(f32)
    ratio = _polynomial(NUMERATOR, remainder) / _polynomial(DENOMINATOR, remainder)
    return np.ldexp(ratio, exponent.astype(np.int32))


def _polynomial(coefficients: tuple[float, ...], x: np.ndarray) -> np.ndarray:
    """The polynomial at float32 values by Horner's rule, each step rounded to float32."""
    x, value = x.astype(f64), f32(coefficients[0])
    for coefficient in coefficients[1:]:
        value = (value * x + f64(f32(coefficient))).astype(f32)
    return value


def weighted_sum(weights: sparse.csr_matrix, values: np.ndarray) -> np.ndarray:
    """``weights @ values``, each product rounded to float32 before it is added, in the order of the columns.

    Args:
        weights: (n, m) float32.
        values: (m,) or (m, k) float32.

    Returns:
        (n,) or (n, k) float32.
    """
    terms = weights.nnz
    of_row = sparse.csr_matrix(
        (np.ones(terms, f32), np.arange(terms), weights.indptr), (weights.shape[0], terms)
    )
    return of_row @ (
        weights.data.reshape(-1, *(1,) * (values.ndim - 1)) * values.take(weights.indices, axis=0)
    )
