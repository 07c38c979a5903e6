"""Federated boosting beside FATE, SecretFlow and XGBoost: their published cases on made data of the same shape.

`python -m experiments.benchmarks.peers` measures each case on this machine and prints a table in Markdown: what the
others have published, on which hardware, and below it what this project takes here, and XGBoost on the pooled table,
which is the limit. `--figure FILE` also measures every engine on smaller tables and draws what a tree takes by the
size of the partner's table. `--trees N` grows fewer trees, for a quick look.

The last column is calculated and not measured: the wall time here, and what the bytes and round trips that were
measured would take under a link of 100 Mb/s and 20 ms each way if nothing overlapped. The data have the shape and the
bad rate of the others', and a signal of their own, so that AUCs can be compared within a case only.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from matplotlib.figure import Figure

from experiments.benchmarks.boosting import SETTINGS, Case, log
from experiments.settings import parse_settings
from fl.config.run import TrainingConfig
from server.tracking.drawing import BADS, GOODS, QUIET, new_axes, with_legend
from server.tracking.pages import markdown_table

app = typer.Typer()

# Gradients that are not sent ahead, and numbers of which gradient and hessian fit into one encryption: many rows.
FOR_MANY_ROWS = ("boosting.ahead=none", "boosting.precision=8")


@dataclass(frozen=True)
class Published:
    """A figure that others have published: wall seconds for one tree or for all, whichever they say."""

    system: str
    hardware: str
    per_tree: float | None = None
    in_all: float | None = None
    under_link: float | None = None


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A case that others have published: the shape of its data, and their figures; source is where these stand."""

    name: str
    training_rows: int
    bank_columns: int
    partner_columns: int
    bads: float
    trees: int
    published: tuple[Published, ...]
    source: str

    def case(self, trees: int) -> Case:
        """Made data of this shape; other rows than those that train are added, since a study needs some."""
        config = TrainingConfig.from_mapping(parse_settings([*SETTINGS]))
        training = (1 - config.test_share) * (1 - config.validation_share)
        return Case(
            rows=round(self.training_rows / training),
            columns=self.partner_columns,
            backend="inline",
            settings=(*FOR_MANY_ROWS, f"boosting.trees={trees}"),
            bank_columns=self.bank_columns,
            bads=self.bads,
        )


_FATE = "2 hosts, 16 cores each, Xeon 8255C, LAN of 1 Gb/s"
_SECRETFLOW = "2 machines, 8 cores each, Xeon 8369B"
PEERS = (
    Peer(
        name="FATE: 100,000 training rows, 30 + 300 columns",
        training_rows=100_000,
        bank_columns=30,
        partner_columns=300,
        bads=0.2,
        trees=3,
        published=(
            Published("FATE 2.0 standalone, Paillier", _FATE, per_tree=114),
            Published("FATE 2.0 on EggRoll, Paillier", _FATE, per_tree=131),
            Published("FATE 2.0 on Spark, Paillier", _FATE, per_tree=221),
        ),
        source="github.com/FederatedAI/FATE doc/2.0/fate/performance/performance_multi_engines.md",
    ),
    Peer(
        name="SecretFlow: creditcard, 284,807 rows, 15 + 15 columns, 0.17 % bads",
        training_rows=round(0.8 * 284_807),
        bank_columns=15,
        partner_columns=15,
        bads=0.0017,
        trees=20,
        published=(
            Published("SecretFlow 1.5, Okamoto–Uchiyama, LAN", _SECRETFLOW, in_all=106.45, under_link=185.07),
            Published("SecretFlow 1.5, 10 Mb/s and 50 ms", _SECRETFLOW, in_all=851.03),
        ),
        source="github.com/secretflow/secretflow docs/developer/benchmark/sgb_benchmark.md",
    ),
)
ENGINES = {
    "plain": (QUIET, (10_000, 30_000, 100_000), (20, 80)),
    "lattice": (GOODS, (10_000, 30_000, 100_000), (20, 80)),
    "paillier": (BADS, (1_000, 3_000, 10_000), (5, 20)),
}
"""By engine the colour of its line, and the rows and columns that it is measured on; Paillier only on small ones."""


def link_seconds(row: pd.Series, megabits: float = 100, milliseconds: float = 20) -> float:
    """Wall seconds of a measurement under a link of that many megabits per second and milliseconds each way."""
    return float(
        row["seconds"] + 8 * row["megabytes"] / megabits + 2 * milliseconds / 1000 * row["round_trips"]
    )


def tree_seconds(row: pd.Series) -> float:
    """CPU seconds that one tree took all parties and the coordinator, without set-up and scoring."""
    return float(
        sum(row[f"cpu_seconds.{phase}"] for phase in ("bank", "parties", "coordinator")) / row["trees"]
    )


def lines(peer: Peer, row: pd.Series) -> pd.DataFrame:
    """The lines of the table on one case: those of others, this project's by its measurement, and XGBoost's."""
    published = [
        {
            "system": one.system,
            "hardware": one.hardware,
            "wall s": one.in_all,
            "wall s per tree": one.per_tree,
            "at 100 Mb/s, 20 ms": one.under_link,
        }
        for one in peer.published
    ]
    ours = {
        "system": f"SiloScore, {row['engine']}",
        "hardware": "this machine",
        "trees": row["trees"],
        "wall s": row["seconds"],
        "wall s per tree": row["seconds"] / row["trees"],
        "CPU s per tree": tree_seconds(row),
        "MB": row["megabytes"],
        "round trips": row["round_trips"],
        "at 100 Mb/s, 20 ms": link_seconds(row),
        "AUC": row["auc"],
    }
    limit = (
        [
            {
                "system": "XGBoost, pooled, one thread",
                "hardware": "this machine",
                "trees": row["trees"],
                "CPU s per tree": row["cpu_seconds.xgboost"] / row["trees"],
                "AUC": row["auc.xgboost"],
            }
        ]
        if "cpu_seconds.xgboost" in row
        else []
    )
    return pd.DataFrame([*published, ours, *limit], columns=[*ours])


def markdown(table: pd.DataFrame) -> str:
    """The lines in Markdown; a dash stands for what nobody has measured."""
    digits = {"CPU s per tree": "{:,.1f}", "wall s per tree": "{:,.1f}", "AUC": "{:.4f}"}
    numbers = table.columns.difference(["system", "hardware"])
    texts = {
        name: table[name].map(digits.get(name, "{:,.0f}").format, na_action="ignore").fillna("–")
        for name in numbers
    }
    return markdown_table(table.assign(**texts))


def engines_figure(table: pd.DataFrame) -> Figure:
    """What a tree takes by the cells of the partner's table, both logarithmic: a line for equal columns."""
    figure, axes = new_axes("Boosting: a tree by engine", "partner's rows × columns", "seconds per tree")
    labelled = set[str]()
    for (engine, _), part in table.sort_values("rows").groupby(["engine", "columns"]):
        cells, colour = part["rows"] * part["columns"], ENGINES[engine][0]
        measures = {
            "CPU": ("-", part.apply(tree_seconds, axis=1)),
            "wall at 100 Mb/s, 20 ms": ("--", part.apply(link_seconds, axis=1) / part["trees"]),
        }
        for measure, (style, seconds) in measures.items():
            label = f"{engine}, {measure}"
            axes.plot(
                cells,
                seconds,
                style,
                color=colour,
                marker="o",
                markersize=4,
                label=None if label in labelled else label,
            )
            labelled.add(label)
    axes.set(xscale="log", yscale="log")
    return with_legend(figure)


@app.command(help=__doc__)
def main(
    trees: Annotated[int, typer.Option(min=0, help="Trees of every case. Default: as published.")] = 0,
    figure: Annotated[Path | None, typer.Option(help="PNG of what a tree takes by engine and size.")] = None,
    store: Annotated[str, typer.Option(help="MLflow store for a run per measurement.")] = "",
) -> None:
    """Measure every case, and print a table for each."""

    def measured(case: Case) -> dict[str, float | str]:
        row = case.measure()
        if store:
            log(row, store)
        return row

    for peer in PEERS:
        row = pd.Series(measured(peer.case(trees or peer.trees)))
        print(f"\n{peer.name} ({peer.source})\n\n{markdown(lines(peer, row))}", flush=True)
    if figure is not None:
        settings = (*FOR_MANY_ROWS, "boosting.trees=1")
        rows = [
            measured(Case(size, columns, "inline", (*settings, f"boosting.encryption={engine}")))
            for engine, (_, sizes, widths) in ENGINES.items()
            for size in sizes
            for columns in widths
        ]
        engines_figure(pd.DataFrame(rows)).savefig(figure, bbox_inches="tight")


if __name__ == "__main__":
    app()
