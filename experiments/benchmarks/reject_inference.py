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

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray

from experiments.challenge import Inference
from experiments.challenge.inference import Floats, infer
from experiments.dataset import Dataset, open_dataset
from experiments.economies import economy
from experiments.study import run_study
from fl import metrics
from fl.config.run import TrainingConfig
from fl.splits import TEST
from server.coordinator import new_study_name
from server.progress import ignore
from server.tracking.pages import markdown_table

CHAMPION, CHALLENGER = "bank-only-boosting", "pooled-boosting"
RULES = ("cut-off", "random", "insight")
METHODS = {
    "accepted only": (Inference.none, 1.0),
    "augmentation": (Inference.augmentation, 1.0),
    "parcelling": (Inference.parcelling, 1.0),
    "parcelling, factor 1.5": (Inference.parcelling, 1.5),
    "all outcomes": (Inference.none, 1.0),
}
_OVERRIDES = 0.1

app = typer.Typer()


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


def estimates(
    champion: Floats, challenger: Floats, labels: NDArray[np.int8], approval: float, draws: int
) -> Iterator[dict[str, object]]:
    """By rule, draw and method: what was estimated, minus what is true, and the challenger's calibration error."""
    for rule, draw in product(RULES, range(draws)):
        rng = np.random.default_rng([draw, RULES.index(rule)])
        accepted = accept(rule, champion, labels, approval, rng)
        seen = rng.permutation(len(labels)) < len(labels) // 2
        truth, first, second = labels[seen].astype(np.float64), champion[seen], challenger[seen]
        for method, (inference, factor) in METHODS.items():
            known = truth if method == "all outcomes" else np.where(accepted[seen], truth, np.nan)
            # Who was accepted depends on the model in use; who would have been bad, both models may say.
            risk = first if inference is Inference.augmentation else (first + second) / 2
            sample, everybody = infer(known, risk, inference, factor), infer(truth, risk, Inference.none)
            (of_first, of_second), (true_first, true_second) = (
                (one.auc(first), one.auc(second)) for one in (sample, everybody)
            )
            pds = sample.recalibrate(second).apply(challenger[~seen])
            yield {
                "decisions": rule,
                "outcomes": method,
                "bad rate": sample.bad_rate - everybody.bad_rate,
                "AUC": of_second - true_second,
                "gain of AUC": (of_second - of_first) - (true_second - true_first),
                "mean PD": pds.mean() - labels[~seen].mean(),
                "calibration error": metrics.expected_calibration_error(labels[~seen], pds),
            }


def of_economy(dataset: Dataset, seed: int, approval: float, draws: int, store: Path) -> pd.DataFrame:
    """The mean estimates of an economy, by rule and method."""
    config = replace(
        TrainingConfig(),
        data=str(dataset.folder),
        parties=dataset.parties,
        seeds=(1,),
        study=new_study_name(str(dataset.folder)),
        tracking_uri=f"sqlite:///{store}",
    )
    study = run_study(dataset, config, (CHAMPION, CHALLENGER), "inline", ignore).complete()
    test = study.roles[1] == TEST
    champion, challenger = (
        np.log(pds[test]) - np.log1p(-pds[test])
        for pds in (study.pds[name, 1] for name in (CHAMPION, CHALLENGER))
    )
    frame = pd.DataFrame(estimates(champion, challenger, study.joined.labels[test], approval, draws))
    return frame.groupby(["decisions", "outcomes"], sort=False).mean().assign(economy=seed)


def summary(means: pd.DataFrame) -> str:
    """A table in Markdown of the frames of `of_economy`: means over the economies, and their standard errors."""
    by_method = means.drop(columns="economy").groupby(level=["decisions", "outcomes"], sort=False)
    mean, error = by_method.mean(), by_method.sem().fillna(0.0)
    cells = {
        name: [f"{100 * m:+.2f} ± {100 * e:.2f}" for m, e in zip(mean[name], error[name], strict=True)]
        for name in mean
    }
    cells["calibration error"] = [cell.removeprefix("+") for cell in cells["calibration error"]]
    return markdown_table(mean.index.to_frame(index=False).assign(**cells))


@app.command(help=__doc__)
def main(
    seeds: str = "91,92,93,94,95",
    businesses: int = 20_000,
    approval: float = 0.7,
    draws: int = 50,
    data: Annotated[str, typer.Option(help="Folders of datasets instead, comma-separated.")] = "",
) -> None:
    """Run the economies and print the table, in per cent and percentage points."""
    sources = data.split(",") if data else [int(seed) for seed in seeds.split(",")]
    means = []
    for number, source in enumerate(sources):
        with ExitStack() as stack:
            dataset = (
                open_dataset(Path(source))
                if isinstance(source, str)
                else stack.enter_context(economy("base", source, businesses))
            )
            store = dataset.folder.parent / f"reject-inference-{number}.db"
            means.append(of_economy(dataset, number, approval, draws, store))
    print(summary(pd.concat(means)), flush=True)


if __name__ == "__main__":
    app()
