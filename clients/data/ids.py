"""Ids that can be read and will still find nobody: those that a spreadsheet has rewritten, or with a typing error."""

import re
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_REWRITTEN = r"^\d(?:[.,]\d+)?[eE]\+\d+$|^\d+[.,]0{1,2}$"
_CODE = "^[0-9A-Z]{18}$"
_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_OUTSIDE = 31  # the value of a letter that no code has
_VALUES = np.full(128, _OUTSIDE)
_VALUES[np.frombuffer(_ALPHABET.encode(), np.uint8)] = np.arange(31)
_WEIGHTS = np.array([*(pow(3, place, 31) for place in range(17)), 1])


def is_rewritten(id: str) -> bool:
    """Whether an id looks like a number that a spreadsheet has rounded or rewritten."""
    return re.match(_REWRITTEN, id) is not None


def doubts(ids: pa.ChunkedArray | pa.Array, place: Callable[[int], str] = lambda row: "") -> list[str]:
    """A sentence for each thing that is doubtful about ids, texts (n,) without nulls; `place` says where a row is."""
    rewritten = pc.match_substring_regex(ids, _REWRITTEN).to_numpy(zero_copy_only=False)
    wrong, codes = _wrong_codes(ids)
    problems = (
        (
            rewritten,
            "ids",
            "look like numbers that a spreadsheet has rounded or rewritten; format the column as text where it comes "
            "from, and export it again.",
        ),
        (
            wrong,
            f"{codes:,} unified social credit codes",
            "have a wrong check character (GB 32100-2015); correct them, since no other party knows them.",
        ),
    )
    return [
        f"{len(rows):,} of the {what}, the first {ids[rows[0]].as_py()!r}{place(int(rows[0]))}, {problem}"
        for is_wrong, what, problem in problems
        if len(rows := np.flatnonzero(is_wrong))
    ]


def _wrong_codes(ids: pa.ChunkedArray | pa.Array) -> tuple[np.ndarray, int]:
    """Which ids (n,) are unified social credit codes that cannot be, and how many are codes.

    None is, unless most of all ids are right: other ids may have 18 characters, too.
    """
    is_code = pc.match_substring_regex(ids, _CODE).to_numpy(zero_copy_only=False)
    codes = "".join(ids.filter(pa.array(is_code)).to_pylist())
    values = _VALUES[np.frombuffer(codes.encode(), np.uint8).reshape(-1, _WEIGHTS.size)]
    is_right = ((values @ _WEIGHTS) % 31 == 0) & (values < _OUTSIDE).all(axis=1)
    wrong = np.zeros(len(ids), bool)
    if is_right.sum() > len(ids) / 2:
        wrong[np.flatnonzero(is_code)[~is_right]] = True
    return wrong, len(values)
