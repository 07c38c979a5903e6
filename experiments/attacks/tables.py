"""The attacks as tables for a terminal."""

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table

from experiments.attacks.report import Attacks

_CAPTION = (
    "own: from its own columns alone; then from the gradients under each defence. Named labels and defaults are "
    "those that it knows already; 0.5 is a guess."
)


def label_table(attacks: Attacks) -> Table:
    """Success of every attack on the labels, and last what the defences cost."""
    table = Table(title=f"What {attacks.party} could tell of labels (AUC)", box=SIMPLE_HEAD, caption=_CAPTION)
    table.add_column("attack", no_wrap=True)
    for name in attacks.labels:
        table.add_column(str(name), justify="right", no_wrap=True)
    for name, row in attacks.labels.iterrows():
        table.add_row(str(name), *(_cell(value) for value in row))
    table.add_section()
    costs = [attacks.test_auc.get(name, float("nan")) for name in attacks.labels]
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


def _cell(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:.3f}"
