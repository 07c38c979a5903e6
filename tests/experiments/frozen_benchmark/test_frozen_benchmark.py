"""The frozen benchmark: rows that others can use, lines that follow from predictions, and submissions in order."""

import hashlib
import tomllib
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest

from experiments import cli
from experiments.frozen_benchmark import cases, results
from experiments.frozen_benchmark.cases import CASES, check_frozen, choose
from experiments.frozen_benchmark.lines import lines_by_set, make_line, with_submission
from experiments.frozen_benchmark.results import Benchmark, CaseResults, read_benchmark, write_benchmark
from experiments.frozen_benchmark.running import run_benchmark
from fl.errors import ConfigError
from fl.metrics import auc, brier, delong_test
from server.progress import ignore

DOCS = Path(__file__).parents[3] / "docs" / "benchmark.md"
pytestmark = pytest.mark.usefixtures("quick_tracking")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("benchmark") / "tables"


@pytest.fixture(scope="module")
def run(tables: Path) -> Benchmark:
    return run_benchmark(CASES[:1], ("bank-only-trees", "pooled-trees"), 600, None, tables, ignore)


@pytest.fixture(scope="module")
def made() -> Benchmark:
    """Two economies and the credit cards with 60 test rows each, and two models."""
    rng = np.random.default_rng(4)

    def case(name: str, of_set: str, seeds: tuple[int, ...]) -> CaseResults:
        labels = np.tile([0, 0, 1], 20)
        pds = {
            (model, seed): 1 / (1 + np.exp(noise * rng.normal(size=60) - labels))
            for seed in seeds
            for model, noise in (("weak", 2.0), ("pooled-trees", 0.7))
        }
        ids = [f"{name}/{number:02}" for number in range(60)]
        lines = [make_line(*key, labels, pd) for key, pd in pds.items()]
        return CaseResults(name, of_set, {}, ids, labels.tolist(), lines)

    economies = [case("base-1", "base", (1,)), case("base-2", "base", (2,))]
    return Benchmark(1, "0", False, 300, [*economies, case("credit-cards", "credit-cards", (1, 2))])


def predictions(benchmark: Benchmark, model: str = "pooled-trees") -> pd.DataFrame:
    """A submission of the PDs of a model."""
    frames = [
        pd.DataFrame({"case": case.name, "id": case.ids, "pd": line.pd})
        for case in benchmark.cases
        for line in case.lines[-2:]
        if line.model == model
    ]
    return pd.concat(frames, ignore_index=True)


def test_a_run_has_a_line_of_every_model_that_follows_from_its_predictions(
    run: Benchmark, tmp_path: Path
) -> None:
    write_benchmark(run, tmp_path / "b.json")

    assert read_benchmark(tmp_path / "b.json") == run
    (case,) = run.cases
    assert (run.frozen, case.name, case.set) == (False, "base-61", "base")
    assert [line.model for line in case.lines] == ["bank-only-trees", "pooled-trees"]
    for line in case.lines:
        assert line.auc == pytest.approx(auc(case.labels, line.pd))
        assert line.brier == pytest.approx(brier(case.labels, line.pd))
        assert line.auc_low < line.auc < line.auc_high
        assert line.costs is not None


def test_others_get_the_rows_with_their_roles_and_what_each_party_knows(run: Benchmark, tables: Path) -> None:
    (case,), folder = run.cases, tables / "base-61"
    rows = pd.read_csv(folder / "rows.csv", dtype={"id": str})
    parties = {name: pd.read_parquet(folder / f"{name}.parquet") for name in ("bank", "tax", "supply_chain")}

    lines = "".join(f"{row.id},{row.label},{int(row.role == 'test')}\n" for row in rows.itertuples())
    assert hashlib.sha256(lines.encode()).hexdigest() == case.digests["rows"]
    test = rows[rows["role"] == "test"]
    assert test["id"].tolist() == case.ids
    assert test["label"].tolist() == case.labels
    assert set(rows["role"]) == {"train", "validation", "test"}
    assert parties["bank"]["id"].tolist() == rows["id"].tolist()
    assert {len(table) for table in parties.values()} & {600} == {600}
    for table in parties.values():
        assert set(table["id"]) <= set(rows["id"])
        assert not table.drop(columns="id").isna().all(axis=1).any()
        assert not {"label", "default"} & set(table)


def test_a_submission_of_a_model_s_own_predictions_gets_its_line(made: Benchmark, tmp_path: Path) -> None:
    shuffled = predictions(made).sample(frac=1, random_state=1)
    for path in (tmp_path / "mine.csv", tmp_path / "mine.parquet"):
        shuffled.to_csv(path, index=False) if path.suffix == ".csv" else shuffled.to_parquet(path)

        judged = with_submission(made, path, "mine")

        of_ours, mine = judged.cases[0].lines[-2:]
        assert msgspec.structs.replace(mine, model=of_ours.model) == of_ours
        # One prediction of a row stands for every seed.
        assert [line.seed for line in judged.cases[2].lines if line.model == "mine"] == [1, 2]
        row = lines_by_set(judged, "pooled-trees")["base"].set_index("model").loc["mine"]
        assert (row["gain"], row["gain_low"], row["gain_high"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda frame: frame.drop(columns="pd"), "lacks the column pd; a submission has case, id, pd."),
        (
            lambda frame: frame.assign(case="base-9"),
            "no case 'base-9'; they have base-1, base-2, credit-cards.",
        ),
        (lambda frame: frame[frame["case"] != "base-2"], "lacks the case base-2; a submission has all cases"),
        (lambda frame: frame.iloc[1:], "base-1 lacks base-1/00, which is a test row"),
        (lambda frame: frame.replace("base-1/00", "x"), "base-1 has x, which is no test row"),
        (lambda frame: pd.concat([frame, frame[:1]]), "base-1 has the id base-1/00 more than once."),
        (lambda frame: frame.assign(pd=frame["pd"] * 3), "is no number from 0 to 1."),
        (lambda frame: frame.assign(pd="high"), "the pd of base-1/00 is no number from 0 to 1."),
    ],
)
def test_a_submission_that_is_not_in_order_is_refused(
    made: Benchmark, tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], said: str
) -> None:
    change(predictions(made)).to_csv(tmp_path / "mine.csv", index=False)

    with pytest.raises(ConfigError) as caught:
        with_submission(made, tmp_path / "mine.csv", "mine")

    assert said in str(caught.value)


def test_a_submission_needs_a_name_of_its_own(made: Benchmark, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="have a model 'weak' already; name yours with --name"):
        with_submission(made, tmp_path / "weak.csv", "weak")


def test_gains_are_paired_and_averaged_over_independent_cases(made: Benchmark) -> None:
    row = lines_by_set(made, "pooled-trees")["base"].set_index("model").loc["weak"]

    tests = [delong_test(case.labels, *(line.pd for line in case.lines)) for case in made.cases[:2]]
    difference = np.mean([test.difference for test in tests])
    error = np.sqrt(sum(test.standard_error**2 for test in tests)) / 2
    assert row["gain"] == pytest.approx(difference)
    assert (row["gain_high"] - row["gain_low"]) / 2 == pytest.approx(1.959964 * error, rel=1e-6)
    aucs = [case.lines[0].auc for case in made.cases[:2]]
    assert row["auc"] == pytest.approx(np.mean(aucs))
    assert row["error"] == pytest.approx(abs(aucs[0] - aucs[1]) / 2)


def test_data_or_rows_that_are_not_the_frozen_ones_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen = tomllib.loads(cases.DIGESTS.read_text("utf-8"))
    assert set(frozen) == {case.name for case in CASES}
    check_frozen("base-61", frozen["base-61"])

    with pytest.raises(ConfigError, match="The rows of base-61 are not those of the benchmark"):
        check_frozen("base-61", frozen["base-61"] | {"rows": "0"})


def test_cases_are_chosen_by_name_and_the_credit_cards_by_their_folder(tmp_path: Path) -> None:
    (tmp_path / "test_ids.csv").touch()
    assert [case.name for case in choose((), tmp_path)] == [case.name for case in CASES]
    assert "credit-cards" not in {case.name for case in choose((), None)}
    with pytest.raises(ConfigError, match="no case 'base-1'; it has base-61, "):
        choose(("base-1",), None)
    with pytest.raises(ConfigError, match="name their folder with --credit"):
        choose(("credit-cards",), None)
    with pytest.raises(ConfigError, match=r"has no file test_ids\.csv"):
        choose((), tmp_path / "none")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is no file of benchmark results"),
        ('{"version": 2}', "Invalid enum value 2"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, content: str | None, said: str) -> None:
    if content is not None:
        (tmp_path / "b.json").write_text(content)

    with pytest.raises(ConfigError, match=said):
        read_benchmark(tmp_path / "b.json")


def test_results_whose_lists_do_not_fit_are_refused(made: Benchmark, tmp_path: Path) -> None:
    case = made.cases[0]
    with pytest.raises(ValueError, match="59 values for 60 ids"):
        msgspec.structs.replace(case, labels=case.labels[1:])
    with pytest.raises(ValueError, match="not in order"):
        msgspec.structs.replace(case, ids=case.ids[::-1])


def test_the_command_shows_a_submission_among_the_others(
    made: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    write_benchmark(made, tmp_path / "b.json")
    predictions(made, "weak").to_csv(tmp_path / "mine.csv", index=False)

    cli.app(
        ["benchmark", "--out", str(tmp_path / "b.json"), "--submission", str(tmp_path / "mine.csv")],
        standalone_mode=False,
    )

    said = capsys.readouterr().out
    for name in ("base: test rows, gain over pooled-trees", "credit-cards: test rows", "mine  ", "weak  "):
        assert name in said
    assert "These are not the figures of the benchmark" in said


@pytest.mark.parametrize("record", [results.Benchmark, results.CaseResults, results.Line, results.Costs])
def test_the_page_describes_every_field(record: type[msgspec.Struct]) -> None:
    page = DOCS.read_text("utf-8")
    assert [name for name in record.__struct_fields__ if f"`{name}`" not in page] == []
