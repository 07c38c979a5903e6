"""Ids that will find nobody are named, with the first of them."""

import numpy as np
import pyarrow as pa
import pytest

from clients.data.ids import doubts
from synthetic_data.codes import credit_codes

CODES = credit_codes(1_000, np.full(1_000, 110101), np.zeros(1_000, bool), np.random.default_rng(0)).tolist()


@pytest.mark.parametrize("spoilt", ["1.1E+17", "9,1E+17", "1e+5", "123.0"])
def test_ids_that_a_spreadsheet_has_rewritten(spoilt: str) -> None:
    (said,) = doubts(pa.array(["007", spoilt, "b", spoilt]), lambda row: f" in line {row + 2}")

    assert said.startswith(
        f"2 of the ids, the first '{spoilt}' in line 3, look like numbers that a spreadsheet"
    )


@pytest.mark.parametrize("ids", [CODES, ["007", "1E5", "12.50", "A-1"], [c[:-1] + "0" for c in CODES], []])
def test_ids_without_a_doubt(ids: list[str]) -> None:
    assert doubts(pa.chunked_array([pa.array(ids, pa.large_string())])) == []


def test_codes_with_a_wrong_check_character() -> None:
    swapped = CODES[3][:9] + CODES[3][10] + CODES[3][9] + CODES[3][11:]
    letter = "O" + CODES[7][1:]

    (said,) = doubts(pa.array([*CODES[:3], swapped, *CODES[4:7], letter, *CODES[8:], "007"]))

    assert said.startswith(
        f"2 of the 1,000 unified social credit codes, the first '{swapped}', have a wrong check character"
    )
