"""The attacks as tables for a terminal."""

from collections.abc import Sequence

import pandas as pd
from rich.table import Column, Table

from experiments.attacks.active import Outcome
from experiments.attacks.report import Attack, Attacks
from experiments.tables import FittedTable

KNOWLEDGE = "Named labels and defaults are those that it knows already; 0.5 is a guess."
"""For captions of attacks on labels."""


def tables(attacks: Attacks) -> list[Table]:
    """What could be inferred, attack by attack."""
    return [_table(attack, figures, attacks) for attack, figures in attacks.figures.items()]


def outcome_table(outcomes: Sequence[Outcome]) -> Table:
    """What came of those who depart from the protocol."""
    table = FittedTable(
        Column("attack (finding)", no_wrap=True),
        Column("by", no_wrap=True),
        "outcome",
        title="What a party or the coordinator gets that departs from the protocol",
        caption="A party attacks with the coordinator's help. Findings are those of docs/threat-model.md.",
    )
    for outcome in outcomes:
        attack = outcome.attack
        table.add_row(f"{attack.title} ({attack.finding})", attack.by.value, outcome.text)
    return table


def _table(attack: Attack, figures: pd.DataFrame, attacks: Attacks) -> Table:
    """Figures with their index as the first column, and a row of its own in bold that sums them up."""
    if attack.on_labels:
        last = pd.Series(attacks.test_auc, name="test AUC of that run").reindex(figures.columns)
    else:
        last = figures.mean().rename("mean")
    table = FittedTable(attack.first, title=attack.title.format(party=attacks.party), caption=attack.caption)
    shown = [name for name in figures if name != attack.counts]
    for name in shown:
        table.add_column(attack.headings.get(name, name), justify="right", no_wrap=True)
    for name, row in figures.iterrows():
        counted = f" ({row[attack.counts]:.0f})" if attack.counts else ""
        table.add_row(f"{name}{counted}", *map(_cell, row[shown]))
    table.add_section()
    table.add_row(str(last.name), *map(_cell, last[shown]), style="bold")
    return table


def _cell(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:.3f}"
