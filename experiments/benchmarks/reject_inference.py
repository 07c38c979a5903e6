"""How far off reject inference is, where the outcomes of the declined are known after all: in an economy.

`python -m experiments.benchmarks.reject_inference --seeds 91,92,93` simulates economies and trains two models of each:
bank-only boosting, which is the model in use, and pooled boosting, its challenger, which equals the federated one bit
for bit. On the test rows the model in use accepts the share `--approval` of the applicants. Then decisions are turned
round: none (`cut-off`), one in ten (`random`), or one in ten on average, of which those that the outcome proves right
are three times as likely as others (`insight`): a loan officer knows something that no model does. Half the applicants,
drawn anew `--draws` times, are what the bank has seen, and of these it knows the outcomes of the accepted alone. The
table shows what it estimates of all whom it has seen minus what is true, and how the challenger, recalibrated by it,
does on the other half, where all outcomes are known. ± is the standard error of a mean over the economies.
"""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray
from scipy.special import logit

from experiments.challenge import Inference
from experiments.challenge.inference import Floats, infer
from experiments.dataset import Dataset, open_dataset
from experiments.economies import economy
from experiments.options import Setting
from experiments.settings import parse_settings
from experiments.study import run_unkept
from fl import metrics
from fl.config.run import TrainingConfig
from fl.splits import TEST
from server.tracking.pages import markdown_table

ALL = "all outcomes"
CHAMPION, CHALLENGER = "bank-only-boosting", "pooled-boosting"
RULES = ("cut-off", "random", "insight")
METHODS = {
    "accepted only": (Inference.none, 1.0),
    "augmentation": (Inference.augmentation, 1.0),
    "parcelling": (Inference.parcelling, 1.0),
    "parcelling, factor 1.5": (Inference.parcelling, 1.5),
    ALL: (Inference.none, 1.0),
}
_OVERRIDES = 0.1

app = typer.Typer()


@dataclass(frozen=True)
class Models:
    """Log odds (n,) of the test rows by the model in use and by its challenger, and labels int8 (n,)."""

    champion: Floats
    challenger: Floats
    labels: NDArray[np.int8]


def accept(
    rule: str, champion: Floats, labels: NDArray[np.int8], approval: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Who is accepted (n,), by the champion's log odds (n,) and a rule of `RULES`."""
    approved = champion <= np.quantile(champion, approval)
    if rule == "cut-off":
        return approved
    turned = np.full(len(labels), _OVERRIDES)
    if rule == "insight":
        # Among the declined the goods, and among the approved the bads, are turned three times as often.
        right = approved == (labels == 1)
        for side in (approved, ~approved):
            chance = np.where(right[side], 3.0, 1.0)
            turned[side] = _OVERRIDES * chance / chance.mean()
    return approved ^ (rng.random(len(labels)) < turned)


def estimates(models: Models, approval: float, draws: int) -> pd.DataFrame:
    """What is estimated minus what is true, and the challenger's calibration error: means over the draws.

    The index is (decisions, outcomes): a rule and a method.
    """
    found, labels = [], models.labels
    for rule, draw in product(RULES, range(draws)):
        rng = np.random.default_rng([draw, RULES.index(rule)])
        accepted = accept(rule, models.champion, labels, approval, rng)
        seen = rng.permutation(len(labels)) < len(labels) // 2
        outcomes, first, second = (
            labels[seen].astype(np.float64),
            models.champion[seen],
            models.challenger[seen],
        )
        truth = infer(outcomes, first, second, Inference.none)
        true_first, true_second = truth.auc(first), truth.auc(second)
        for method, (inference, factor) in METHODS.items():
            known = outcomes if method == ALL else np.where(accepted[seen], outcomes, np.nan)
            sample = infer(known, first, second, inference, factor)
            of_first, of_second = sample.auc(first), sample.auc(second)
            pds = sample.recalibrate(second).apply(models.challenger[~seen])
            found.append(
                {
                    "decisions": rule,
                    "outcomes": method,
                    "bad rate": sample.bad_rate - truth.bad_rate,
                    "AUC": of_second - true_second,
                    "gain of AUC": (of_second - of_first) - (true_second - true_first),
                    "mean PD": pds.mean() - labels[~seen].mean(),
                    "calibration error": metrics.expected_calibration_error(labels[~seen], pds),
                }
            )
    return pd.DataFrame(found).groupby(["decisions", "outcomes"], sort=False).mean()


def train_models(dataset: Dataset, config: TrainingConfig) -> Models:
    """Train both models on a dataset with some settings."""
    study = run_unkept(dataset, replace(config, seeds=(1,)), (CHAMPION, CHALLENGER))
    test = study.roles[1] == TEST
    champion, challenger = (logit(study.pds[name, 1][test]) for name in (CHAMPION, CHALLENGER))
    return Models(champion, challenger, study.joined.labels[test])


def summary(economies: list[pd.DataFrame]) -> str:
    """A table in Markdown of the estimates of economies: means over them, and their standard errors, in per cent."""
    by_method = pd.concat(economies).groupby(level=[0, 1], sort=False)
    mean, error = 100 * by_method.mean(), 100 * by_method.sem().fillna(0.0)
    cells = {
        name: [f"{m:+z.2f} ± {e:.2f}" for m, e in zip(mean[name], error[name], strict=True)] for name in mean
    }
    cells["calibration error"] = [cell.removeprefix("+") for cell in cells["calibration error"]]
    return markdown_table(mean.index.to_frame(index=False).assign(**cells))


@app.command(help=__doc__)
def main(
    seeds: str = "91,92,93,94,95",
    businesses: int = 20_000,
    approval: float = 0.7,
    draws: int = 20,
    data: Annotated[str, typer.Option(help="Folders of datasets instead, comma-separated.")] = "",
    settings: Setting = [],  # noqa: B006
) -> None:
    """Run the economies and print the table, in per cent and percentage points."""
    config = TrainingConfig.from_mapping(parse_settings(settings))
    sources = data.split(",") if data else [int(seed) for seed in seeds.split(",")]
    found = []
    for source in sources:
        of_folder = isinstance(source, str)
        with (
            nullcontext(open_dataset(Path(source)))
            if of_folder
            else economy("base", source, businesses) as dataset
        ):
            found.append(estimates(train_models(dataset, config), approval, draws))
    print(summary(found), flush=True)


if __name__ == "__main__":
    app()
