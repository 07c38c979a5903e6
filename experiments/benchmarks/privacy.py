"""What differential privacy towards the other banks costs: the test AUC of what banks train together, by ε.

`python -m experiments.benchmarks.privacy DIR ... --figure FILE` trains on the banks' tables of each dataset, in this
process and without messages: every contender that can have noise on its sums, with each ε and without noise, and
beside it each bank's boosting of its own. Datasets of the same size are economies of which the mean is taken, as it is
over the seeds of training. Prints tables in Markdown, for the test rows of all banks and for those of the last bank,
with the AUC on their outcomes and, in brackets, the expected one under the true PD where all datasets have it.
"""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from matplotlib.figure import Figure

from experiments.benchmarks.banks import Bank, alone, banks_of, judged, together
from fl.banks.programs import PRIVATE
from fl.config.banks import BanksConfig
from fl.config.run import TrainingConfig
from server.tracking.drawing import QUIET, colour, new_axes, with_legend
from server.tracking.pages import markdown_table

app = typer.Typer()

EPSILONS = {"1": 1.0, "3": 3.0, "8": 8.0, "∞": 0.0}
"""By how they are written; without noise the setting is 0."""
ALONE = "each bank alone"


def measured(banks: list[Bank], seeds: int) -> pd.DataFrame:
    """The figures of `judged` on one dataset: a row for each contender, ε and seed."""
    rows = []
    for seed in range(1, seeds + 1):
        own = judged(banks, [alone(bank, TrainingConfig(), seed) for bank in banks])
        rows.append({"contender": ALONE, "epsilon": "", **own})
        for contender in PRIVATE:
            for name, epsilon in EPSILONS.items():
                config = TrainingConfig().with_section(BanksConfig(epsilon=epsilon))
                scores = together(banks, config, seed, contender)
                rows.append({"contender": contender, "epsilon": name, **judged(banks, scores)})
    return pd.DataFrame(rows).assign(applicants=sum(len(bank.rows) for bank in banks))


def cost_figure(means: pd.DataFrame, of_rows: str) -> Figure:
    """The AUC of some rows over ε: a line for each contender and size, and one for the banks that are alone."""
    figure, axes = new_axes(f"Privacy towards other banks, test AUC of {of_rows} rows", "ε", "AUC")
    for style, (applicants, part) in zip(["--", "-", ":"], means.groupby("applicants"), strict=False):
        of_size = part.set_index("contender")
        for contender in PRIVATE:
            line = of_size.loc[contender].set_index("epsilon")[of_rows].reindex(list(EPSILONS))
            axes.plot(
                list(EPSILONS),
                line,
                color=colour(contender),
                linestyle=style,
                marker="o",
                label=f"{contender}, {applicants:,} applicants",
            )
        axes.axhline(
            of_size.loc[ALONE, of_rows],
            color=QUIET,
            linestyle=style,
            label=f"{ALONE}, {applicants:,} applicants",
        )
    return with_legend(figure)


def table_of(means: pd.DataFrame, of_rows: str) -> str:
    """The same figures in Markdown, a row for each contender and size."""
    expected = means.reindex(columns=[f"{of_rows} (expected)"]).squeeze(axis=1)
    told = expected.map(lambda value: "" if pd.isna(value) else f" ({value:.3f})")
    shown = means.assign(cell=means[of_rows].map("{:.3f}".format) + told)
    wide = shown.pivot(index=["applicants", "contender"], columns="epsilon", values="cell").reset_index()
    alone_by_size = wide[wide["contender"] == ALONE].set_index("applicants")[""]
    wide = wide[wide["contender"] != ALONE]
    wide[ALONE] = wide["applicants"].map(alone_by_size)
    wide["applicants"] = wide["applicants"].map("{:,}".format)
    headings = {name: f"ε = {name}" for name in EPSILONS}
    return markdown_table(wide[["applicants", "contender", ALONE, *EPSILONS]].rename(columns=headings))


@app.command(help=__doc__)
def main(
    data: list[Path],
    seeds: int = 3,
    figure: Annotated[Path | None, typer.Option(help="PNG of the AUC on all rows by ε.")] = None,
) -> None:
    """Print both tables, and draw the figure if a file is named."""
    every = pd.concat([measured(banks_of(folder, TrainingConfig()), seeds) for folder in data])
    means = every.groupby(["applicants", "contender", "epsilon"], sort=False).mean().reset_index()
    last = [name for name in means if name.startswith("bank") and "(" not in name][-1]
    for of_rows in ("all", last):
        print(f"\n{of_rows}\n\n{table_of(means, of_rows)}")
    if figure is not None:
        cost_figure(means, "all").savefig(figure, bbox_inches="tight")


if __name__ == "__main__":
    app()
