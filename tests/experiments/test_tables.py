"""Every table of a command on a terminal of 80 columns: names of columns, parties and models stand whole."""

from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console, RenderableType
from rich.table import Column

from experiments import party_commands
from experiments.attacks.active import ActiveAttack, Outcome
from experiments.attacks.boosting import bins, labels
from experiments.attacks.network import features
from experiments.attacks.network import labels as labels_by_gradients
from experiments.attacks.registry import find
from experiments.attacks.report import Attack, Attacks
from experiments.attacks.tables import outcome_table
from experiments.attacks.tables import tables as attack_tables
from experiments.comparison.gains import ADD_ONE, LEAVE_ONE_OUT
from experiments.comparison.summary import COLUMNS
from experiments.contenders import all_contenders
from experiments.display import comparison_tables, gains_table, progress_bars
from experiments.tables import FittedTable
from server.progress import Progress

NAMES = ["turnover", "average_days_overdue_in_12_months", "营业额同比增长率", "[bold]"]
LONG = "the_national_tax_bureau_of_the_province"
WIDTH = 80


def lines(*tables: RenderableType) -> list[str]:
    console = Console(width=WIDTH)
    with console.capture() as printed:
        console.print(*tables, sep="\n")
    return [line.rstrip() for line in printed.get().splitlines()]


def attacks(
    party: str, on_labels: Attack, variants: list[str], on_columns: Attack, columns: list[str]
) -> Attacks:
    by_label = pd.DataFrame(0.5, index=["each batch: direction, 1 default"], columns=["own", *variants])
    by_column = pd.DataFrame(0.25, index=NAMES, columns=columns)
    figures = {on_labels: by_label, on_columns: by_column}
    return Attacks(party, figures, dict.fromkeys(variants, 0.8), 10)


def test_tables_of_attacks_break_no_name() -> None:
    for party in ("tax", LONG):
        defences, seen = ["none", "max-norm", "gaussian"], ["own", "final", "looks"]
        network = attacks(party, labels_by_gradients.LABELS, defences, features.COLUMNS, seen)
        text = " ".join(lines(*attack_tables(network)))
        for word in (*NAMES, party, "max-norm", "gaussian", "final embeddings", "all looks"):
            assert word in text
        options = ["as-set", "bank-first", "leaves-200"]
        boosting = attacks(party, labels.LABELS, options, bins.COLUMNS, list(bins.FOUND))
        text = " ".join(lines(*attack_tables(boosting)))
        for word in (*NAMES, party, "bank-first", "leaves-200", *bins.FOUND):
            assert word in text


def test_the_table_of_outcomes_names_every_attack() -> None:
    outcomes = [Outcome(attack, "refused: a letter", refused=True) for attack in find(ActiveAttack)]
    text = " ".join(lines(outcome_table(outcomes)))
    assert all(outcome.attack.title in text for outcome in outcomes)


def test_tables_of_a_study_break_no_name() -> None:
    names = [*all_contenders(), f"federated-{LONG}"]
    for contenders in (names[:-1], names):
        frame = pd.DataFrame(dict.fromkeys(COLUMNS, 0.5), index=range(len(contenders)))
        quality, cost = comparison_tables(frame.assign(contender=contenders), 1, ["a-failed-one"])
        heads = ["AUC", "95 %", "Uplift", "Gini", "KS", "Brier", *contenders, "a-failed-one"]
        assert all(word in " ".join(lines(quality)) for word in heads)
        heads = ["Approved", "Recovered", "Gini uplift", "Trips", "MB", "CPU s", *contenders]
        assert all(word in " ".join(lines(cost)) for word in heads)
    assert len(lines(comparison_tables(frame[:2].assign(contender=names[:2]), 1)[0])) == 5


def test_tables_of_several_banks_fit_with_the_longest_name_of_a_contender() -> None:
    names = all_contenders("hybrid")
    frame = pd.DataFrame(dict.fromkeys(COLUMNS, 0.5), index=range(len(names))).assign(contender=names)
    longest = max(names, key=len)
    for table in comparison_tables(frame, 1, of_banks=True):
        (line,) = (line for line in lines(table) if line.startswith(longest))
        assert len(line.split()) > 5, line


def test_tables_of_an_ablation_break_no_name() -> None:
    columns = ["auc_with", "auc_without", "gain", "gain_low", "gain_high", "p_value"]
    for party in ("tax", LONG):
        gains = pd.DataFrame(0.5, index=range(2), columns=columns)
        gains = gains.assign(question=[LEAVE_ONE_OUT, ADD_ONE], party=party)
        text = " ".join(lines(gains_table(gains, "federated-boosting", 1)))
        assert all(word in text for word in (party, LEAVE_ONE_OUT, ADD_ONE, "AUC", "Gain", "95 %", "p"))


def test_tables_of_parties_break_no_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    party_commands.parties()
    assert "clients.parties.supply_chain:SupplyChainParty" in capsys.readouterr().out

    frame = pd.DataFrame({"id": [f"B{row}" for row in range(40)]} | dict.fromkeys(NAMES, [1.5, 2.5] * 20))
    frame.to_csv(tmp_path / "table.csv", index=False)
    party_commands.init_party(tmp_path / "table.csv", id="id")
    said = capsys.readouterr().out
    assert all(word in said for word in (*NAMES, "Column", "Missing", "Values", "Note"))


def test_rows_are_listed_where_words_do_not_fit_side_by_side() -> None:
    table = FittedTable("column", Column("matched by it", no_wrap=True), title="Title", caption="Caption")
    table.add_row("x" * 70, "0.5")
    assert lines(table)[:4] == ["Title", "x" * 70, "  matched by it 0.5", "Caption"]

    table = FittedTable("column", Column("matched by it", no_wrap=True), title="Title", caption="Caption")
    table.add_row("x" * 50, "0.5")
    assert [line.split() for line in lines(table)[1::2]] == [
        ["column", "matched", "by", "it"],
        ["x" * 50, "0.5"],
    ]


def test_finding_9_progress_shows_the_name_of_a_party_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bars() as report:
        report(Progress("federated-network", 1, 1, 2, "[/red]x[bold]"))
    assert "1/2 [/red]x[bold]" in capsys.readouterr().out
