import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clients.aligned import read_applications
from clients.data.errors import DataError
from clients.parties import open_party
from clients.splits import read_test_ids
from clients.store import Store
from fl.splits import TEST, TRAIN, VALIDATION, Roles, Split
from server.coordinator import assign_roles
from server.exchange import FederationError


def bank(run) -> Store:
    return Store(Path(run.config.state, "bank", "s"))


def roles_of(run, seed: int = 1) -> Roles:
    """The roles that the bank gives under a seed, as it tells them to the parties."""
    assigned = assign_roles(run.federation, seed)
    roles = assigned.split.read(Split).roles
    assert np.bincount(roles, minlength=3).tolist() == [assigned.training, assigned.validation, assigned.test]
    return roles


def test_without_months_the_split_is_by_label(tables: Path, federate: Callable) -> None:
    run = federate(tables, test_share=0.3, validation_share=0.2)

    roles = roles_of(run)

    assert assign_roles(federate(tables).federation, 1).basis == "label"

    labels = read_applications(bank(run)).labels
    assert (roles == TEST).mean() == pytest.approx(0.3, abs=0.01)
    assert (roles == VALIDATION).mean() == pytest.approx(0.7 * 0.2, abs=0.01)
    for role in (TRAIN, VALIDATION, TEST):
        assert labels[roles == role].mean() == pytest.approx(labels.mean(), abs=0.02)


def test_seeds_split_by_label_anew_and_repeatably(tables: Path, federate: Callable) -> None:
    run = federate(tables)
    one, two = (roles_of(run, seed) for seed in (1, 2))

    assert (one != two).any()
    np.testing.assert_array_equal(roles_of(federate(tables)), one)
    for seed, roles in ((1, one), (2, two)):
        kept = Store(bank(run).folder / "splits" / str(seed)).read(Split).roles
        np.testing.assert_array_equal(kept, roles)


def test_with_months_the_split_is_by_vintage(make_tables: Callable[..., Path], federate: Callable) -> None:
    run = federate(make_tables(("tax",), months=True))

    roles = roles_of(run)

    months = read_applications(bank(run)).months
    assert months[roles == TRAIN].max() < months[roles == VALIDATION].min()
    assert months[roles == VALIDATION].max() < months[roles == TEST].min()
    np.testing.assert_array_equal(roles_of(run, 2), roles)
    assert assign_roles(run.federation, 3).basis == "vintage"


def test_a_file_names_the_test_rows(tables: Path, federate: Callable, tmp_path: Path) -> None:
    chosen = [f"业{number:05d}" for number in range(100)]
    file = tmp_path / "test.csv"
    file.write_text("business_id\n" + "\n".join(chosen) + "\n\n", "utf-8")
    run = federate(tables, test_ids=str(file))

    roles = roles_of(run)

    ids = read_applications(bank(run)).ids
    assert set(ids[roles == TEST]) == set(chosen)
    assert assign_roles(run.federation, 2).basis == "file"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            "业00001\n业1\n业2\n业3\n业4",
            "no application of 4 of the 5 test ids: '业1', '业2', '业3' and 1 more.",
        ),
        ("id\n业1\n", "bank has no application of 1 of the 1 test ids: '业1'. Write one id per line"),
        ("id\n", "no application of 0 of the 0 test ids. Write one id per line"),
    ],
)
def test_a_test_id_that_the_bank_does_not_know_is_named(
    tables: Path, tmp_path: Path, content: str, said: str
) -> None:
    file = tmp_path / "test.csv"
    file.write_text(content, "utf-8")
    with pytest.raises(DataError, match=re.escape(said)):
        read_test_ids(file, open_party(tables / "bank"))


@pytest.mark.parametrize(
    "content", [None, b"\xff\xfe", "业1".encode()], ids=["absent", "not UTF-8", "unknown"]
)
def test_a_file_that_cannot_be_read_is_the_bank_own_business(
    tables: Path,
    federate: Callable,
    tmp_path: Path,
    content: bytes | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    file = tmp_path / "test.csv"
    if content is not None:
        file.write_bytes(content)
    run = federate(tables, test_ids=str(file))

    with pytest.raises(FederationError, match=r"Party bank refused train.splits_assign: the data in bank"):
        assign_roles(run.federation, 1)
    assert str(file) in caplog.text


def test_a_part_with_one_outcome_only_is_refused(tables: Path, federate: Callable, tmp_path: Path) -> None:
    ids = read_applications(bank(federate(tables)))
    file = tmp_path / "test.csv"
    file.write_text("\n".join(ids.ids[ids.labels == 0][:20]), "utf-8")
    run = federate(tables, test_ids=str(file))

    with pytest.raises(FederationError, match="the test rows need two defaults and two non-defaults"):
        assign_roles(run.federation, 1)


def test_a_file_of_test_ids_may_have_those_of_other_banks(tables: Path, tmp_path: Path) -> None:
    bank = open_party(tables / "bank")
    first = bank.applications().index[0]
    file = tmp_path / "ids.txt"
    file.write_text(f"{first}\nof another bank\n", "utf-8")
    with pytest.raises(DataError, match="no application of 1 of the 2 test ids"):
        read_test_ids(file, bank)
    assert first in read_test_ids(file, bank, is_only_bank=False)
    file.write_text("of another bank\nof a third\n", "utf-8")
    with pytest.raises(DataError, match="no application of 1 of the 1 test ids"):
        read_test_ids(file, bank, is_only_bank=False)
