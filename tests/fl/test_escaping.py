"""Finding 9: no text of another party is carried out by what shows it."""

import csv
import io

import numpy as np
import pandas as pd
import pytest

from fl.escaping import csv_cell, csv_text, markdown, text_line


@pytest.mark.parametrize(
    "text", ["=1+1", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1+1", "=", "-", "--5", "+x"]
)
def test_finding_9_no_cell_is_a_formula(text: str) -> None:
    assert csv_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["-1.5", "+3", "-1e-05", ".5", "a=b", "", "业", -1, -0.5, None, True])
def test_all_other_cells_stay_as_they_are(value: object) -> None:
    assert csv_cell(value) is value


def test_finding_9_texts_and_names_of_columns_are_cells_and_numbers_stay_numbers() -> None:
    frame = pd.DataFrame(
        {
            "@id": np.array(["=1", "b"]),
            "score": [-1.5, 2e-9],
            "party": pd.Series(["-x", None], dtype=object),
            "level": pd.Categorical(["+a", "b"]),
        }
    )
    rows = list(csv.reader(io.StringIO(csv_text(frame))))
    assert rows == [
        ["'@id", "score", "party", "level"],
        ["'=1", "-1.5", "'-x", "'+a"],
        ["b", "2e-9", "", "b"],
    ]
    scores = pd.read_csv(io.StringIO(csv_text(frame[["score"]])))
    pd.testing.assert_frame_equal(scores, frame[["score"]], check_exact=True)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("``<img src=x>`", "\\`\\`&lt;img src=x>\\`"),
        ("`a` <b> `", "`a` &lt;b> \\`"),
        ("a`b<c>`d", "a`b<c>`d"),
    ],
)
def test_finding_9_a_stray_backtick_hides_no_markup(text: str, written: str) -> None:
    assert markdown(text) == written


def test_finding_9_a_text_commands_no_terminal() -> None:
    assert text_line("a\x1b[2Jb\r\n c\x07\u202e业") == "a?[2Jb c??业"
