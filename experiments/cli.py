"""The command `siloscore`: it makes data, adds parties, trains and compares models, and shows them in MLflow."""

import os
import signal
import sys
import warnings
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer

from experiments import (
    audit_commands,
    export_commands,
    model_commands,
    party_commands,
    resuming,
    serving_commands,
    study_commands,
)
from experiments.doctor.command import doctor
from experiments.federation import commands as federation_commands
from experiments.help import DEPLOYMENT, PARTIES, STUDIES, TRUST, OneScreen
from experiments.options import Data, Experiment, Parties, Role, Seeds, Setting, Store, TestIds
from experiments.settings import words
from experiments.study_commands import configured
from experiments.telling import tell_error, warn

app = typer.Typer(
    cls=OneScreen,
    help="Federated credit scoring of small businesses, and what a bank can do alone.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command(rich_help_panel=STUDIES)
def generate(
    out: Annotated[Path, typer.Option(help="Folder for the dataset. It must be new or empty.")],
    businesses: Annotated[int, typer.Option(min=100, help="Number of applicants.")] = 20_000,
    world: Annotated[
        str,
        typer.Option(
            help="base, no-tax-signal, no-supply-signal, no-partner-signal, no-contagion or recession."
        ),
    ] = "base",
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the simulation. Equal seeds give equal data.")
    ] = 1,
    truth: Annotated[
        bool, typer.Option("--truth", help="Also compute the true probability of default of each applicant.")
    ] = False,
    parties: Annotated[
        str,
        typer.Option(help="Parties to write records of, comma-separated. Default: bank,tax,supply_chain."),
    ] = "",
    banks: Annotated[int, typer.Option(min=1, max=26, help="Number of banks among which firms choose.")] = 1,
    bank_shares: Annotated[
        str,
        typer.Option(help="Each bank's share of the applicants, such as 0.7,0.2,0.1. Default: equal shares."),
    ] = "",
    bank_skew: Annotated[
        str, typer.Option(help="By what firms choose their bank: region, sector, or none (by chance).")
    ] = "none",
) -> None:
    """Simulate an economy, and write each party's records.

    Example: siloscore generate --businesses 20000 --world base --seed 1 --truth --out data/demo
    """
    from experiments.display import console, step_bars
    from experiments.economies import banks_of, write_economy
    from synthetic_data import STANDARD

    recorded, division = words(parties) or STANDARD, banks_of(banks, bank_shares, bank_skew)
    with step_bars() as progress:
        write_economy(out, businesses, world, seed, truth, progress, recorded, division)
    console.print(f"{out}: {businesses:,} applicants, world {world}, seed {seed}")


app.command("compare", rich_help_panel=STUDIES)(study_commands.compare)
app.command("run", rich_help_panel=STUDIES)(study_commands.run)
app.command("report", rich_help_panel=STUDIES)(study_commands.report)
app.command("ablation", rich_help_panel=STUDIES)(study_commands.ablation)
app.command("benchmark", rich_help_panel=STUDIES)(study_commands.benchmark)
app.command("score", rich_help_panel=STUDIES)(model_commands.score)
app.command("explain", rich_help_panel=STUDIES)(model_commands.explain)
app.command("challenge", rich_help_panel=STUDIES)(model_commands.challenge)


@app.command(rich_help_panel=TRUST)
def attack(
    data: Data = Path("data/demo"),
    contender: Annotated[
        str, typer.Option(help="The federated model to attack; not with --role active.")
    ] = "federated-network",
    role: Annotated[
        Role,
        typer.Option(
            help="curious: follows the protocol and keeps what it receives; active: departs from the protocol."
        ),
    ] = Role.curious,
    party: Annotated[
        str,
        typer.Option(help="The party that attacks (of banks-…: a bank). Default: the first one that could."),
    ] = "",
    seeds: Seeds = "1",
    parties: Parties = "",
    test_ids: TestIds = None,
    settings: Setting = [],  # noqa: B006
) -> None:
    """Measure what a curious party could infer.

    Models are trained with and without the defences.

    With --role active, send the parties what no honest coordinator would, alone or with the keys of a party, and show
    what they refuse and what is got of them.

    Example: siloscore attack --data data/demo --contender federated-boosting --party tax
    """
    from experiments.attacks.contenders import play, play_hostile
    from experiments.attacks.tables import outcome_table, tables
    from experiments.display import console, progress_bars

    _, config = configured(data, seeds, parties, test_ids, settings)
    if role is Role.active:
        with progress_bars() as report:
            outcomes = play_hostile(config, party, report)
        console.print(outcome_table(outcomes))
        return
    with progress_bars() as report:
        attacks = play(contender, config, party, report)
    console.print(*tables(attacks), sep="\n")
    console.print(f"Every number of an evaluation stands for {attacks.group} applicants or more.")


app.command("parties", rich_help_panel=PARTIES)(party_commands.parties)
app.command("check-party", rich_help_panel=PARTIES)(party_commands.check_party)
app.command("init-party", rich_help_panel=PARTIES)(party_commands.init_party)
app.command("features", rich_help_panel=PARTIES)(export_commands.features)
app.command("export", rich_help_panel=PARTIES)(export_commands.export)
app.command("keys", rich_help_panel=TRUST)(party_commands.keys)
app.command("policy", rich_help_panel=TRUST)(party_commands.policy)
app.add_typer(audit_commands.app, name="audit", rich_help_panel=TRUST)
app.add_typer(federation_commands.app, name="federation", rich_help_panel=DEPLOYMENT)
app.command("resume", rich_help_panel=DEPLOYMENT)(resuming.resume)
app.command("doctor", rich_help_panel=DEPLOYMENT)(doctor)
app.command("serve", rich_help_panel=DEPLOYMENT)(serving_commands.serve)


@app.command(rich_help_panel=STUDIES)
def ui(
    store: Store = Path("mlflow.db"),
    experiment: Experiment = "siloscore",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Local port; 0 takes a free one.")] = 5000,
) -> None:
    """Show the latest study in MLflow, until Ctrl-C.

    The command prints the link of the study and serves the page.

    Example: siloscore ui
    """
    from experiments.display import console
    from experiments.mlflow_page import latest_link, serve
    from experiments.servers import check_port, free_port

    port = port or free_port()
    link = latest_link(store, experiment, port)
    check_port(port)
    console.print(f"Open {link}", soft_wrap=True)
    code = serve(store, port)
    tell_error(f"MLflow's server has ended by itself with exit code {code}; its last words stand above.")
    raise typer.Exit(code or 1)


def _show_warning(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
    """A warning about data is a sentence for the user; any other one is shown as Python shows it."""
    from clients.data.errors import DataWarning

    if issubclass(category, DataWarning):
        warn(str(message))
    else:
        sys.stderr.write(warnings.formatwarning(message, category, *place[:2]))


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def main() -> None:
    """Run the command. An error that a user can act on is one sentence and exit code 2, without a traceback."""
    # This must precede the import of NumPy. On small matrices several threads wait longer than they work.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # A command that is ended from outside must end its MLflow runs, and Flower, which runs in a session of its own.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    warnings.showwarning = _show_warning
    try:
        app()
    except Exception as error:
        from experiments.failures import EXPECTED, sentence

        if not isinstance(error, EXPECTED):
            raise
        tell_error(sentence(error))
        raise SystemExit(2) from None
