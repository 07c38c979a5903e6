"""The attacks as tables for a terminal."""

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table

from experiments.attacks.boosting.report import Attacks as BoostingAttacks
from experiments.attacks.report import Attacks

_KNOWLEDGE = "Named labels and defaults are those that it knows already; 0.5 is a guess."
_GRADIENTS = f"own: from its own columns alone; then from the gradients under each defence. {_KNOWLEDGE}"
_OPTIONS = "bank-first: first-tree-bank-only; leaves: min-leaf-count."
_NODES = f"own: from its own columns alone; then from the nodes that it sees rows in. {_OPTIONS} {_KNOWLEDGE}"
_BINS = (
    "Share of rows. largest: always the largest bin; own: the bank's own columns and 500 rows that it knows; matched "
    "and sure: by sums and by both, where no other bin is possible; scored: of test rows, by what scoring them tells."
)


def network_tables(attacks: Attacks) -> list[Table]:
    """What a passive party could tell of labels, and the bank of its columns."""
    labels = label_table(attacks.party, attacks.labels, attacks.test_auc, _GRADIENTS)
    return [labels, column_table(attacks)]


def boosting_tables(attacks: BoostingAttacks) -> list[Table]:
    """The same, and what the coordinator could tell of labels."""
    return [
        label_table(attacks.party, attacks.labels, attacks.test_auc, _NODES),
        label_table("the coordinator", attacks.coordinator, attacks.test_auc, f"{_OPTIONS} {_KNOWLEDGE}"),
        bin_table(attacks),
    ]


def label_table(who: str, labels: pd.DataFrame, test_auc: dict[str, float], caption: str) -> Table:
    """Success of every attack on the labels, and last the test AUC of each way to train."""
    table = Table(title=f"What {who} could tell of labels (AUC)", box=SIMPLE_HEAD, caption=caption)
    table.add_column("attack", no_wrap=True)
    for name in labels:
        table.add_column(str(name), justify="right", no_wrap=True)
    for name, row in labels.iterrows():
        table.add_row(str(name), *(_cell(value) for value in row))
    table.add_section()
    costs = [test_auc.get(str(name), float("nan")) for name in labels]
    table.add_row("test AUC of that run", *(_cell(value) for value in costs), style="bold")
    return table


def column_table(attacks: Attacks) -> Table:
    """R² of the bank's reconstruction of each column."""
    title = f"What the bank could reconstruct of {attacks.party}'s columns (R²) from …"
    table = Table(title=title, box=SIMPLE_HEAD)
    table.add_column("column")
    for source in ("its own columns", "final embeddings", "all validation looks"):
        table.add_column(source, justify="right")
    for name, row in attacks.columns.iterrows():
        table.add_row(str(name), *(_cell(value) for value in row))
    return table


def bin_table(attacks: BoostingAttacks) -> Table:
    """The share of rows whose bin the bank names rightly, by column and on the mean."""
    title = f"In which bins of {attacks.party}'s columns the bank could tell rows to be, from …"
    table = Table(title=title, box=SIMPLE_HEAD, caption=_BINS)
    table.add_column("column (bins)", overflow="fold")
    shares = attacks.bins.drop(columns="bins")
    for name in shares:
        table.add_column(str(name), justify="right", no_wrap=True)
    for (name, row), bins in zip(shares.iterrows(), attacks.bins["bins"], strict=True):
        table.add_row(f"{name} ({bins:.0f})", *(_cell(value) for value in row))
    table.add_section()
    table.add_row("mean", *(_cell(value) for value in shares.mean()), style="bold")
    return table


def _cell(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:.3f}"
