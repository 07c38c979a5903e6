"""The commands for who brings a party, and what every command says of bad data."""

import re
import sys
import tomllib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import typer
import typer.core
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from clients.data.declaration import read_declaration
from clients.identity import read_identity
from clients.parties import origins, party_type
from clients.policy import Policy
from experiments import cli
from experiments.dataset import open_dataset
from experiments.doctor.organisations import read_node_key
from server.admission import read_parties


class Ended(NamedTuple):
    """How the command ended."""

    code: int
    output: str
    errors: str


@pytest.fixture
def siloscore(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> Callable[..., Ended]:
    """The command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["siloscore", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return Ended(ended.value.code, said.out, said.err)

    return run


def test_the_types_are_listed_with_their_package(siloscore: Callable[..., Ended]) -> None:
    ended = siloscore("parties")

    assert ended.code == 0
    listed = ended.output.replace("\n", " ")
    for origin in origins():
        package = rf"{re.escape(origin.distribution)} {re.escape(origin.version)}"
        assert re.search(rf" *{origin.name} +{package}", listed), origin
    assert {"bank", "table", "tax"} <= {o.name for o in origins() if o.distribution == "siloscore"}
    assert sys.executable in ended.output


def test_a_type_is_checked_and_each_check_is_named(siloscore: Callable[..., Ended]) -> None:
    ended = siloscore("check-party", "supply_chain")

    assert ended.code == 0
    assert "✓ no look-ahead" in ended.output
    assert re.search(r"supply_chain: (\d+) of \1 checks passed", ended.output)


def test_a_type_of_the_current_folder_that_fails_says_what_to_change(
    siloscore: Callable[..., Ended], tmp_path: Path
) -> None:
    (tmp_path / "mine_types.py").write_text(
        "from clients.parties.tax import TaxParty\n\n\n"
        "class Careless(TaxParty):\n"
        "    def features(self, records, as_of):\n"
        "        return super().features(records, as_of).rank()\n"
    )

    ended = siloscore("check-party", "mine_types:Careless")

    assert ended.code == 1
    assert "✗ each business by itself" in ended.output
    assert "Compute a business's features from its own records" in ended.output
    assert "✓ no look-ahead" in ended.output


def test_what_is_no_type_is_one_sentence(siloscore: Callable[..., Ended]) -> None:
    ended = siloscore("check-party", "nowhere:X")

    assert ended.code == 2
    assert ended.errors.startswith("Error: nowhere:X cannot be imported")
    assert ended.errors.count("\n") == 1


def write_tables(root: Path) -> dict[str, Path]:
    """A bank and a partner with tables of their own, and no declaration yet."""
    rng = np.random.default_rng(0)
    ids = [f"c{number:04d}" for number in range(300)]
    values = rng.normal(size=(300, 2))
    default = (values.sum(axis=1) + rng.logistic(size=300) > 1.5).astype(int)
    bank = pd.DataFrame({"id": ids, "a": values[:, 0], "default": default})
    partner = pd.DataFrame({"uscc": ids, "b": values[:, 1]}).sample(frac=0.8, random_state=1)
    paths = {"bank": root / "bank" / "loans.csv", "partner": root / "partner" / "facts.parquet"}
    for path in paths.values():
        path.parent.mkdir(parents=True)
    bank.to_csv(paths["bank"], index=False)
    partner.to_parquet(paths["partner"])
    return paths


def test_two_tables_become_a_dataset(declared: dict[str, Path], tmp_path: Path) -> None:
    assert open_dataset(tmp_path / "mine").parties == ("bank", "partner")
    assert read_declaration(tmp_path / "mine" / "partner").column_names == ("b",)


def test_what_stands_out_is_told(siloscore: Callable[..., Ended], tmp_path: Path) -> None:
    path = write_tables(tmp_path)["bank"]
    frame = pd.read_csv(path)
    frame.assign(written_off=frame["default"] * 100).to_csv(path, index=False)

    ended = siloscore("init-party", path, "--id", "id", "--label", "default")

    assert ended.code == 0
    assert "loans.csv: 300 rows" in ended.output
    assert "are defaults" in " ".join(ended.output.split())
    assert "LEAK?" in ended.output
    assert "2 of 4 columns offered" in ended.output


@pytest.mark.filterwarnings("default::clients.data.errors.DataWarning")
def test_doubts_of_the_data_are_a_line_before_anything_runs(
    siloscore: Callable[..., Ended], declared: dict[str, Path], tmp_path: Path
) -> None:
    frame = pd.read_parquet(declared["partner"])
    frame.loc[frame.index[0], "uscc"] = "1.1E+17"
    frame.to_parquet(declared["partner"])

    ended = siloscore("compare", "--data", tmp_path / "mine", "--contenders", "nobody", "--backend", "inline")

    doubt, error = ended.errors.splitlines()
    assert doubt.startswith("Warning: ")
    assert (
        "partner: 1 of the ids, the first '1.1E+17', look like numbers that a spreadsheet has rounded"
        in doubt
    )
    assert error.startswith("Error: There is no contender 'nobody'")


@pytest.mark.slow
def test_two_tables_train(siloscore: Callable[..., Ended], declared: dict[str, Path], tmp_path: Path) -> None:
    ended = siloscore(
        *("compare", "--data", tmp_path / "mine", "--contenders", "federated-network,pooled-trees"),
        *("--backend", "inline", "--set", "network.batches=4"),
    )

    assert ended.code == 0, ended.errors
    assert "pooled-trees" in ended.output


def test_a_type_that_computes_its_columns_gets_a_declaration_too(
    siloscore: Callable[..., Ended], generated: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "tax"
    folder.mkdir()
    for path in (generated / "tax").glob("*.parquet"):
        (folder / path.name).write_bytes(path.read_bytes())

    ended = siloscore("init-party", folder, "--type", "tax")

    assert ended.code == 0, ended.errors
    assert read_declaration(folder) == party_type("tax").default_declaration(folder)


def test_a_declaration_is_replaced_only_by_force(siloscore: Callable[..., Ended], tmp_path: Path) -> None:
    path = write_tables(tmp_path)["bank"]
    (path.parent / "party.toml").write_text("mine")

    refused = siloscore("init-party", path, "--id", "id")
    assert (refused.code, refused.errors.count("\n")) == (2, 1)
    assert "party.toml exists already; --force replaces it." in refused.errors
    assert (path.parent / "party.toml").read_text() == "mine"

    assert siloscore("init-party", path, "--id", "id", "--force").code == 0
    assert read_declaration(path.parent).label is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("bank/loans.csv",), "Name the column with the business id, such as --id business_id."),
        (
            ("bank/loans.csv", "--id", "ident"),
            "loans.csv has no column 'ident'. Its columns are 'id', 'a', 'default'.",
        ),
        (("bank/lones.csv", "--id", "id"), "does not exist; tables in its folder: 'loans.csv'."),
        (("bank/loans.txt", "--id", "id"), "a table must be a .csv or a .parquet file."),
        (("bank", "--type", "bonk"), "there is no party type 'bonk'. Did you mean 'bank'?"),
        (("bank", "--type", "tax", "--id", "id"), "--id, --label, --bad and --month belong to a table"),
        (("bank/loans.csv", "--type", "tax"), "is no folder; with --type, name the folder"),
    ],
)
def test_what_init_party_cannot_do_is_one_sentence(
    siloscore: Callable[..., Ended], tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    write_tables(tmp_path)

    ended = siloscore("init-party", *arguments)

    assert ended.code == 2
    assert said in " ".join(ended.errors.split())
    assert ended.errors.count("\n") == 1
    assert not list(tmp_path.rglob("*.toml"))


def bank_table(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text()))


BAD_INPUT = {
    "duplicate ids": (
        lambda text: text + "c0000,1,0\n",
        "lines 2 and 302, column 'id': the id 'c0000' stands twice",
    ),
    "stray spaces": (
        lambda text: text.replace("c0001,", "c0001 ,"),
        "line 3, column 'id': the id 'c0001 ' has spaces",
    ),
    "other case within": (
        lambda text: text + "C0001,1,0\n",
        "lines 3 and 302, column 'id': the ids 'c0001' and 'C0001' differ only in letter case",
    ),
    "other case elsewhere": (
        lambda text: text.replace("c0", "C0"),
        "The ids 'C0000' in bank and 'c0000' in partner differ only in letter case",
    ),
    "three labels": (
        lambda text: text + "new,1,2\n",
        "line 302, column 'default': the label must have two values, and the values found are 0, 1, 2;",
    ),
    "text for a number": (lambda text: text + "new,high,1\n", "line 302, column 'a': 'high' is not a number"),
    "an enormous cell": (
        lambda text: text + f"new,{'9' * 10**7},1\n",
        "line 302: a cell has more than 131,072 characters; shorten it",
    ),
}


@pytest.fixture
def declared(siloscore: Callable[..., Ended], tmp_path: Path) -> dict[str, Path]:
    """The two tables with their declarations."""
    paths = write_tables(tmp_path / "mine")
    assert siloscore("init-party", paths["bank"], "--id", "id", "--label", "default").code == 0
    assert siloscore("init-party", paths["partner"], "--id", "uscc").code == 0
    return paths


def refused(siloscore: Callable[..., Ended], root: Path, said: str) -> None:
    """Training says one sentence with exit code 2, and leaves every file as it was."""
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}

    ended = siloscore(
        "run", "--contender", "federated-network", "--data", root / "mine", "--backend", "inline"
    )

    assert ended.code == 2
    assert ended.errors.startswith("Error: ")
    assert said in ended.errors
    assert ended.errors.count("\n") == 1
    assert len(ended.errors) < 400
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_one_sentence_and_nothing_is_written(
    siloscore: Callable[..., Ended], declared: dict[str, Path], tmp_path: Path, case: str
) -> None:
    change, said = BAD_INPUT[case]
    declared["bank"].write_text(change(declared["bank"].read_text()))

    refused(siloscore, tmp_path, said)


def test_a_month_to_come_is_one_sentence(
    siloscore: Callable[..., Ended], declared: dict[str, Path], tmp_path: Path
) -> None:
    frame = pd.read_csv(declared["bank"]).assign(month="2024-03")
    frame.loc[7, "month"] = "2124-03"
    frame.to_csv(declared["bank"], index=False)
    toml = declared["bank"].parent / "party.toml"
    toml.write_text('month = "month"\n' + toml.read_text())

    refused(siloscore, tmp_path, "line 9, column 'month': 2124-03 lies in the future")


def test_a_truncated_parquet_file_is_one_sentence(
    siloscore: Callable[..., Ended], declared: dict[str, Path], tmp_path: Path
) -> None:
    content = declared["partner"].read_bytes()
    declared["partner"].write_bytes(content[: len(content) // 2])

    refused(siloscore, tmp_path, "facts.parquet is not a whole Parquet file; it may be truncated")


def test_two_parties_that_claim_the_label_are_one_sentence(
    siloscore: Callable[..., Ended], declared: dict[str, Path], tmp_path: Path
) -> None:
    frame = pd.read_parquet(declared["partner"])
    frame.assign(bad=np.arange(len(frame)) % 2).to_parquet(declared["partner"])
    toml = declared["partner"].parent / "party.toml"
    toml.write_text('label = "bad"\n' + toml.read_text())

    refused(siloscore, tmp_path, "Remove `label` from the party.toml of one that is no bank")


def test_keys_are_made_once_and_print_the_line_that_partners_pin(
    siloscore: Callable[..., Ended], declared: dict[str, Path]
) -> None:
    folder = declared["bank"].parent

    first, again = (siloscore("keys", folder) for _ in range(2))

    assert (first.code, again.code) == (0, 0)
    assert "private keys made; they stay with the party" in first.output
    assert "private keys are there already" in again.output
    lines = {ended.output.splitlines()[-1] for ended in (first, again)}
    assert [tomllib.loads(line) for line in lines] == [{"bank": read_identity(folder).public.text}]


def test_the_key_of_a_supernode_is_made_once_and_what_the_coordinator_needs_is_written(
    siloscore: Callable[..., Ended], declared: dict[str, Path], tmp_path: Path
) -> None:
    folder, node = declared["bank"].parent, tmp_path / "node"
    first, again = (siloscore("keys", folder, "--node", node) for _ in range(2))
    assert "supernode.key: key of its SuperNode made; it stays with the party" in first.output
    assert "key of its SuperNode is there already" in again.output
    assert (node / "supernode.key").stat().st_mode & 0o777 == 0o600
    (keys,) = read_parties(node / "bank.toml").parties.values()
    assert keys.identity == read_identity(folder).public
    assert keys.supernode == read_node_key(node).public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )


def test_keys_belong_to_a_folder_with_a_declaration(siloscore: Callable[..., Ended], tmp_path: Path) -> None:
    ended = siloscore("keys", tmp_path)
    assert ended.code == 2
    assert "party.toml does not exist; a party's folder needs one." in ended.errors
    assert not list(tmp_path.iterdir())


def commands() -> dict[str, typer.core.TyperCommand]:
    group = typer.main.get_command(cli.app)
    assert isinstance(group, typer.core.TyperGroup)
    return dict(group.commands)


@pytest.mark.parametrize("name", commands())
def test_every_command_explains_itself_with_an_example(name: str) -> None:
    command = commands()[name]

    assert re.search(rf"(?m)^Example: siloscore {name}\b", command.help or "")
    context = typer.Context(command)
    records = {str(parameter.name): parameter.get_help_record(context) for parameter in command.params}
    assert [name for name, record in records.items() if record is None or len(record[1]) < 10] == []


def test_a_policy_tells_of_sensitive_columns(siloscore: Callable[..., Ended], tmp_path: Path) -> None:
    (tmp_path / "party.toml").write_text(
        'type = "bank"\nlabel = "default"\nsensitive = ["gender"]\n', "utf-8"
    )

    said = siloscore("policy", tmp_path).output

    assert "- No model uses the column gender, and no message holds it (sensitive)." in said


def test_a_policy_is_explained_in_words_and_its_defaults_are_named(
    siloscore: Callable[..., Ended], tmp_path: Path
) -> None:
    (tmp_path / "tax").mkdir()
    (tmp_path / "tax" / "party.toml").write_text('type = "tax"\n[policy]\nmost_trees = 50\n', "utf-8")

    ended = siloscore("policy", tmp_path / "tax")

    assert ended.code == 0
    written, defaults, free = ended.output.split("\n\n")
    assert "Party tax, by what is written in its party.toml, which always binds:" in written
    assert "- It allows at most 50 trees (policy.most_trees)." in written
    assert "not in simulation or inline:" in defaults
    assert "- It allows test ids in files of its own folder only (policy.test_ids)." in defaults
    assert "most_trees" not in defaults
    rules = {one.name for one in fields(Policy)}
    for text in (written, defaults, free):
        rules -= set(re.findall(r"policy\.([a-z_]+)", text))
    assert not rules
