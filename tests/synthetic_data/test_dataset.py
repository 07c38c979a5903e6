"""Writing a dataset."""

import hashlib
import re
import tomllib
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from fl.errors import ConfigError
from synthetic_data import PARTIES, calendar, futures, generate
from synthetic_data import dataset as writing
from synthetic_data.digests import digests as content_digests


def digests(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*.*"))
    }


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        generate(tmp_path / name, 300, "base", seed, truth=False)
    first, again, other = (digests(tmp_path / name) for name in "abc")
    assert first == again
    assert not set(first.values()) & set(other.values())


@pytest.mark.slow
def test_truth_changes_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(futures, "OUTER_BATCHES", 1)
    monkeypatch.setattr(futures, "OWN_PATHS", 2)
    for name, truth in (("with", True), ("without", False)):
        generate(tmp_path / name, 300, "base", 5, truth)
    one, other = digests(tmp_path / "with"), digests(tmp_path / "without")
    differing = {name for name in one if one[name] != other[name]}
    assert differing == {"dataset.toml", "truth/applicants.parquet"}
    assert "true_pd" in pd.read_parquet(tmp_path / "with" / "truth" / "applicants.parquet")


def test_a_party_more_or_less_changes_no_record_of_the_others(tmp_path: Path) -> None:
    generate(tmp_path / "standard", 300, "base", 5, truth=False)
    generate(tmp_path / "all", 300, "base", 5, truth=False, parties=PARTIES)
    generate(tmp_path / "few", 300, "base", 5, truth=False, parties=("bank", "utility"))
    standard, everyone, few = (digests(tmp_path / name) for name in ("standard", "all", "few"))
    for other in (everyone, few):
        assert {name for name in standard if other.get(name, standard[name]) != standard[name]} == {
            "dataset.toml"
        }
    assert set(everyone) - set(standard) == {"utility/meters.parquet", "utility/bills.parquet"}
    assert {name: everyone[name] for name in few if name != "dataset.toml"} == {
        name: few[name] for name in few if name != "dataset.toml"
    }
    note = tomllib.loads((tmp_path / "few" / "dataset.toml").read_text(encoding="utf-8"))
    assert note["parties"] == ["bank", "utility"]


@pytest.mark.parametrize(
    ("parties", "message"),
    [
        (("bank", "utilty"), "no party 'utilty'. Did you mean 'utility'?"),
        (("tax",), "include the bank; they are tax"),
        (("bank", "tax", "tax"), "must be distinct"),
    ],
)
def test_impossible_parties_are_refused(tmp_path: Path, parties: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        generate(tmp_path / "new", 300, "base", 1, truth=False, parties=parties)


def test_the_folder_is_as_the_design_draws_it(dataset: Path) -> None:
    assert sorted(digests(dataset)) == [
        "bank/accounts.parquet",
        "bank/applications.parquet",
        "dataset.toml",
        "supply_chain/orders.parquet",
        "supply_chain/receivables.parquet",
        "tax/invoices.parquet",
        "tax/returns.parquet",
        "truth/applicants.parquet",
    ]
    note = tomllib.loads((dataset / "dataset.toml").read_text(encoding="utf-8"))
    assert (note["businesses"], note["world"], note["seed"], note["truth"]) == (4000, "base", 1, False)
    assert note["files"] == content_digests(dataset)
    applications = pd.read_parquet(dataset / "bank" / "applications.parquet")
    assert len(applications) == 4000
    assert applications["observation_month"].nunique() == calendar.VINTAGES


def test_records_are_written_month_by_month(dataset: Path) -> None:
    file = pq.ParquetFile(dataset / "tax" / "returns.parquet")
    assert file.num_row_groups == calendar.VINTAGES + calendar.HISTORY - 1 + calendar.AFTERMATH
    assert len(file.read_row_group(0, ["month"]).column("month").unique()) == 1


def test_records_of_a_business_reach_from_history_to_aftermath(dataset: Path) -> None:
    returns = pd.read_parquet(dataset / "tax" / "returns.parquet")
    applications = pd.read_parquet(dataset / "bank" / "applications.parquet")
    merged = returns.merge(applications)
    assert not merged.duplicated(["business_id", "month"]).any()
    lag = merged["observation_month"].dt.to_period("M").astype("int64") - merged["month"].dt.to_period(
        "M"
    ).astype("int64")
    assert lag.min() == -calendar.AFTERMATH
    assert lag.max() == calendar.HISTORY - 1


def test_partners_know_businesses_that_never_applied(dataset: Path) -> None:
    applicants = set(pd.read_parquet(dataset / "bank" / "applications.parquet")["business_id"])
    known = set(pd.read_parquet(dataset / "tax" / "returns.parquet")["business_id"])
    assert len(known - applicants) > 100
    assert len(applicants - known) > 100


def test_an_existing_dataset_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(ConfigError, match=r"not empty. Choose another folder"):
        generate(tmp_path, 300, "base", 1, truth=False)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(writing, "applications", fail)
    with pytest.raises(OSError, match="disk full"):
        generate(tmp_path / "new", 300, "base", 1, truth=False)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_may_exist(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    generate(tmp_path / "new", 300, "base", 1, truth=False)
    assert (tmp_path / "new" / "dataset.toml").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((300, "basis", 1), "no world 'basis'"), ((10, "base", 1), "at least 100"), ((300, "base", -1), "seed")],
)
def test_impossible_wishes_are_refused(tmp_path: Path, arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        generate(tmp_path / "new", *arguments, truth=False)


def test_progress_reaches_its_end(tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    generate(tmp_path / "new", 300, "base", 1, truth=False, progress=lambda *call: calls.append(call))
    final = {label: (done, total) for label, done, total in calls}
    assert len(final) == 2
    assert all(done == total for done, total in final.values())
