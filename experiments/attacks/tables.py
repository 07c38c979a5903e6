"""The attacks as tables for a terminal."""

import pandas as pd
from rich.table import Table

from experiments.attacks.report import Attacks
from experiments.tables import FittedTable

_KNOWLEDGE = "Named labels and defaults are those that it knows already; 0.5 is a guess."
_GRADIENTS = f"own: from its own columns alone; then from the gradients under each defence. {_KNOWLEDGE}"
_OPTIONS = "bank-first: first-tree-bank-only; leaves: min-leaf-count."
_NODES = f"own: from its own columns alone; then from the nodes that it sees rows in. {_OPTIONS} {_KNOWLEDGE}"
_EMBEDDINGS = (
    "own columns: the bank's; all looks: the embeddings of validation rows, as received in training."
)
_BINS = (
    "Share of rows. largest: always the largest bin; own: the bank's own columns and 500 rows that it knows; matched "
    "and sure: by sums and by both, where no other bin is possible; scored: of test rows, by what scoring them tells."
)


def network_tables(attacks: Attacks) -> list[Table]:
    """What a passive party could tell of labels, and the bank of its columns."""
    sources = {"own": "own columns", "final": "final embeddings", "looks": "all looks"}
    return [
        _label_table(attacks, attacks.party, _GRADIENTS),
        _table(
            f"What the bank could reconstruct of {attacks.party}'s columns (R²) from …",
            "column",
            attacks.columns.rename(columns=sources),
            _EMBEDDINGS,
        ),
    ]


def boosting_tables(attacks: Attacks) -> list[Table]:
    """The same, and what the coordinator could tell of labels."""
    shares = attacks.columns.drop(columns="bins")
    counted = shares.set_axis([f"{name} ({bins:.0f})" for name, bins in attacks.columns["bins"].items()])
    captions = (_NODES, f"{_OPTIONS} {_KNOWLEDGE}")
    return [
        *(_label_table(attacks, *of_receiver) for of_receiver in zip(attacks.labels, captions, strict=True)),
        _table(
            f"In which bins of {attacks.party}'s columns the bank could tell rows to be, from …",
            "column (bins)",
            counted,
            _BINS,
            shares.mean().rename("mean"),
        ),
    ]


def _label_table(attacks: Attacks, receiver: str, caption: str) -> Table:
    """Success of every attack on the labels, and last the test AUC of each way to train."""
    title, labels = f"What {receiver} could tell of labels (AUC)", attacks.labels[receiver]
    costs = pd.Series(attacks.test_auc, name="test AUC of that run").reindex(labels.columns)
    return _table(title, "attack", labels, caption, costs)


def _table(
    title: str, first: str, figures: pd.DataFrame, caption: str = "", last: pd.Series | None = None
) -> Table:
    """Figures with their index as the first column, and a row of its own in bold that sums them up."""
    table = FittedTable(first, title=title, caption=caption)
    for name in figures:
        table.add_column(str(name), justify="right", no_wrap=True)
    for name, row in figures.iterrows():
        table.add_row(str(name), *map(_cell, row))
    if last is not None:
        table.add_section()
        table.add_row(str(last.name), *map(_cell, last), style="bold")
    return table


def _cell(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:.3f}"
