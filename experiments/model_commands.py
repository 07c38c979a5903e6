"""The commands that use trained models: to score applicants, to say why, and to put one model against another."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from experiments.challenge import Inference
from experiments.options import Backend, BackendOption, Store
from experiments.settings import words


def score(
    run: Annotated[
        str,
        typer.Option(
            help="The trained model: the id of its MLflow run, STUDY/CONTENDER or STUDY/CONTENDER/SEED."
        ),
    ],
    applicants: Annotated[
        Path | None,
        typer.Option(help="CSV or Parquet file with the bank's ids and, if you like, observation months."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File for the scores, .csv or .parquet.")] = None,
    every: Annotated[
        str,
        typer.Option(help="Instead of --applicants: score what siloscore serve queues, such as every 60s."),
    ] = "",
    data: Annotated[
        Path | None,
        typer.Option(help="Dataset with the applicants' records. Default: the dataset of the training."),
    ] = None,
    parties: Annotated[
        str,
        typer.Option(
            help="Folders of the parties that are present, comma-separated. Default: those of the training."
        ),
    ] = "",
    bank: Annotated[
        str, typer.Option(help="With a model of several banks: the folder of the one that asks.")
    ] = "",
    cut_off: Annotated[
        float | None,
        typer.Option(
            help="PD above which you decline. Applicants near it are marked for review by a person."
        ),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(help="File of siloscore challenge --recalibrate: also write recalibrated PDs."),
    ] = None,
    backend: BackendOption = Backend.simulation,
    store: Store = Path("mlflow.db"),
) -> None:
    """Score new applicants by a trained federated model.

    Only the bank gets the scores and PDs. A score is the log odds of default, or a scorecard's points. If a party of
    the model is absent, the bank's reserve model answers instead. For applicants whom no passive party knows, boosting,
    the network and the blend are averaged with the reserve model. The file names the models that answered, and up to
    four reasons for each score, in English and Chinese. Its column review marks applicants whom a person should look
    at.

    With --every, score the applicants that wait in the queue of siloscore serve, again and again until Ctrl-C. The
    bank's service has the answers.

    Example: siloscore score --run 4f3c2b1a --applicants new.csv --cut-off 0.05 --out scores.csv
    """
    from experiments.display import console, progress_bars
    from experiments.mlflow_page import store_uri
    from experiments.queue_scoring import score_queue, seconds_of
    from experiments.scoring import score_applicants
    from fl.errors import ConfigError

    if every:
        if applicants or out or cut_off or calibration:
            raise ConfigError(
                "With --every the applicants and their answers are at siloscore serve; name no files."
            )
        seconds = seconds_of(every)

        def tell(said: str) -> None:
            console.print(said, soft_wrap=True, markup=False)

        score_queue(store_uri(store), run, seconds, data, words(parties), backend.value, tell, bank)
    if not (applicants and out):
        raise ConfigError(
            "Name the applicants by --applicants and the file of scores by --out, or give --every."
        )
    with progress_bars() as report:
        finished = score_applicants(
            store_uri(store),
            run,
            applicants,
            out,
            data,
            words(parties),
            backend.value,
            report,
            cut_off=cut_off,
            calibration=calibration,
            bank=bank,
        )
    (model, most), *others = finished.models.items()
    further = "".join(f", {rows:,} by {name}" for name, rows in others)
    knowing = ", ".join(f"{party} {rows:,}" for party, rows in finished.contributed.items())
    console.print(
        f"{out}: {most:,} applicants scored by {model}{further} ({knowing}); {finished.review:,} to be reviewed",
        soft_wrap=True,
        markup=False,
    )


def explain(
    scores: Annotated[Path, typer.Option(help="File that siloscore score has written.")],
    id: Annotated[str, typer.Option(help="The applicant's id in that file.")],
    out: Annotated[Path | None, typer.Option(help="HTML file for a page with a figure.")] = None,
) -> None:
    """Say why an applicant got its score.

    The reasons are columns that raise the risk above that of the average business, worst first. All is taken from the
    file of scores.

    Example: siloscore explain --scores scores.csv --id 91440300MA5DA1RX3K --out page.html
    """
    from experiments.display import console
    from experiments.explaining import read_explained, write_explanation

    explained = read_explained(scores, id)
    console.print(
        f"{id}: PD {float(explained.answer['pd']):.4f} by {explained.answer['model']}", markup=False
    )
    for reason in explained.reasons.itertuples():
        line = f"{reason.code} {reason.adds:+.3f}  {reason.reason} · {reason.reason_zh}"
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    if out:
        write_explanation(explained, out)
        console.print(f"The page is in {out}", soft_wrap=True, markup=False)


def challenge(
    champion: Annotated[
        str,
        typer.Option(
            help="The model in use: STUDY/CONTENDER or STUDY/CONTENDER/SEED; or STUDY/bank-only-boosting, the reserve "
            "model of the challenger's study."
        ),
    ],
    challenger: Annotated[str, typer.Option(help="The model that may take its place.")],
    applicants: Annotated[
        Path, typer.Option(help="CSV or Parquet file with the bank's ids, as for siloscore score.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for challenge.html and the answers of both models.")],
    outcomes: Annotated[
        str,
        typer.Option(
            help="How the applicants turned out: a column of their file, or another file with the bank's id and label. "
            "It may have gaps."
        ),
    ] = "",
    recalibrate: Annotated[
        bool,
        typer.Option(
            "--recalibrate",
            help="Fit intercept and slope of either model to the outcomes, and write them for siloscore score.",
        ),
    ] = False,
    reject_inference: Annotated[
        Inference, typer.Option(help="How those without an outcome are counted.")
    ] = Inference.none,
    factor: Annotated[
        float, typer.Option(min=0.0, help="With parcelling: how much riskier they are than their PD says.")
    ] = 1.0,
    policy: Annotated[
        Path | None,
        typer.Option(help="TOML file of the lending policy. Default: the policy in docs/report.md."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Dataset with the applicants' records. Default: the dataset of the training."),
    ] = None,
    backend: BackendOption = Backend.simulation,
    store: Store = Path("mlflow.db"),
) -> None:
    """Compare two trained models on the same applicants.

    The page shows rank correlation, who is approved by only one model at equal approval, population stability, expected
    profit, and changed reasons; where outcomes are known also AUC with the paired interval of the difference.

    Example: siloscore challenge --champion s/federated-scorecard --challenger s/federated-boosting
    --applicants new.csv --out challenge
    """
    from experiments.challenge.command import Challenge, compare_models
    from experiments.display import console, progress_bars
    from experiments.mlflow_page import store_uri

    asked = Challenge(
        uri=store_uri(store),
        champion=champion,
        challenger=challenger,
        applicants=applicants,
        out=out,
        outcomes=outcomes,
        recalibrate=recalibrate,
        inference=reject_inference,
        factor=factor,
        policy=policy,
        data=data,
        backend=backend.value,
        command=shlex.join(["siloscore", *sys.argv[1:]]),
    )
    with progress_bars() as report:
        findings = compare_models(asked, report)
    for finding in findings:
        console.print(finding, soft_wrap=True, markup=False)
    console.print(f"The page: {out / 'challenge.html'}", soft_wrap=True)
