"""The command `siloscore explain`: why an applicant of a file of scores got its score."""

import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from experiments import cli
from experiments.explaining import SHOWN, read_explained
from experiments.scoring import write_whole

ADDED = {"adds BAN01: age": 0.5, "adds BAN02: sector": -0.25, "adds TAX03: =Taxes <b>late</b> $": 0.25}


def answers(**columns: object) -> pd.DataFrame:
    reasons = {
        1: (
            "BAN01",
            0.5,
            "The business was founded only recently (less than 90 % of applicants)",
            "企业成立时间较短",
        ),
        2: ("TAX03", 0.25, "=Taxes <b>late</b> $", "欠税"),
        3: ("", 0.0, "", ""),
        4: ("", 0.0, "", ""),
    }
    told = {
        f"{name}_{number}": [value, ""] if isinstance(value, str) else [value, 0.0]
        for number, reason in reasons.items()
        for name, value in zip(("reason", "adds", "text", "text_zh"), reason, strict=True)
    }
    return pd.DataFrame(
        {
            "business_id": ["=1+1", "业00002"],
            "score": [-2.5, -3.25],
            "pd": [0.0758, 0.0373],
            "parties": ["bank; tax", "bank"],
            "model": ["federated-boosting", "federated-boosting + bank-only-boosting"],
            "review": [False, True],
            **told,
            "base": [-3.0, -3.0],
            **{name: [value, -0.25 if name.endswith("sector") else 0.0] for name, value in ADDED.items()},
        }
        | columns
    )


@pytest.fixture
def explain(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> Callable[..., tuple]:
    """The command in this process, in an empty folder; its exit code, what it says, and its errors."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["siloscore", "explain", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return ended.value.code, said.out, " ".join(said.err.split())

    return run


def test_the_page_is_made_from_the_file_alone(explain: Callable[..., tuple], tmp_path: Path) -> None:
    write_whole(answers(), tmp_path / "scores.csv")
    code, said, errors = explain("--scores", "scores.csv", "--id", "=1+1", "--out", "page.html")
    assert code == 0, errors
    assert "founded only recently" in said
    assert "企业成立时间较短" in said
    page = (tmp_path / "page.html").read_text("utf-8")
    assert page.count("data:image/png") == 1
    assert "Why =1+1 has a PD of 7.6 %" in page
    assert "企业成立时间较短" in page
    assert "<b>late" not in page
    assert "Nothing marks this application for review" in page


def test_of_who_has_no_reason_and_needs_review_the_page_says_so(
    explain: Callable[..., tuple], tmp_path: Path
) -> None:
    write_whole(answers(), tmp_path / "scores.parquet")
    assert explain("--scores", "scores.parquet", "--id", "业00002", "--out", "page.html")[0] == 0
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "A person should look at this application" in page
    assert "No column raises the risk" in page


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_what_each_column_adds_is_read_as_it_was_written(tmp_path: Path, suffix: str) -> None:
    scores = tmp_path / f"scores.{suffix}"
    write_whole(answers(), scores)
    assert read_explained(scores, "=1+1").contributions.tolist() == [0.5, 0.25, -0.25]


def test_of_many_columns_those_that_matter_least_are_one_bar(tmp_path: Path) -> None:
    many = {f"adds BAN{number:02d}: c{number}": [number / 100, 0.0] for number in range(4, 44)}
    write_whole(answers(**many), tmp_path / "scores.csv")
    explained = read_explained(tmp_path / "scores.csv", "=1+1")
    (axes,) = explained.figure().axes
    lengths = [bar.get_width() for bar in axes.patches]
    assert len(lengths) == SHOWN + 1
    assert sum(lengths) == pytest.approx(explained.contributions.sum())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--id", "nobody"), "There is no applicant 'nobody' among the 2 of scores.csv."),
        (("--id", "业00002", "--scores", "none.csv"), "There is no file of scores none.csv."),
        (
            ("--id", "业00002", "--scores", "table.csv"),
            "table.csv is no file of scores with reasons: it has no column",
        ),
        (
            ("--id", "业00002", "--scores", "broken.parquet"),
            "broken.parquet is no file of scores: it cannot be read",
        ),
        (("--id", "业00002", "--out", "page.pdf"), "The page goes to an .html file, not to page.pdf."),
        (("--id", "业00002", "--out", "no/page.html"), "The page cannot be written to no/page.html"),
    ],
)
def test_what_a_person_can_mend_is_said(
    explain: Callable[..., tuple], tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    write_whole(answers(), tmp_path / "scores.csv")
    write_whole(pd.DataFrame({"id": ["业00002"], "pd": [0.5]}), tmp_path / "table.csv")
    (tmp_path / "broken.parquet").write_text("no")
    code, _, errors = explain("--scores", "scores.csv", *arguments)
    assert code == 2
    assert said in errors
