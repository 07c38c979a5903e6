"""What the tests of models of three banks and two passive parties have in common."""

from pathlib import Path

from clients.aligned import read_applications, read_table
from clients.binned import assigned
from clients.data.declaration import read_declaration
from clients.store import Store
from experiments.backends.inline import InlineGrid
from fl.banks.program import Rows
from fl.config.run import TrainingConfig
from fl.splits import Split
from fl.studies import sub_study
from server.coordinator import Trained, coordinate
from server.progress import Progress

BANKS = ("bank_a", "bank_b", "bank_c")
PASSIVE = ("supply", "tax")


def config_in(banks_tables: Path, folder: Path, contender: str) -> TrainingConfig:
    return TrainingConfig(
        data=str(banks_tables),
        parties=(*BANKS, *PASSIVE),
        state=str(folder / "state"),
        tracking_uri=f"sqlite:///{folder}/mlflow.db",
        study="s",
        contenders=(contender,),
        register=False,
    )


def part(config: TrainingConfig, bank: str, party: str = "", model: str | None = None) -> Store:
    """What a party has in a bank's sub-study of the model of the run, or of another one; by default the bank's."""
    name = f"{config.contenders[0]}/1" if model is None else model
    return Store(Path(config.state, party or bank, sub_study(config.study, bank), *name.split("/")))


def train(config: TrainingConfig) -> tuple[Trained, list[Progress]]:
    """The model, and what was told while it trained."""
    events: list[Progress] = []
    (trained,) = coordinate(InlineGrid(config), config, events.append)
    return trained, [event for event in events if event.stage == config.contenders[0] and event.metrics]


def rows_of(config: TrainingConfig, bank: str) -> Rows:
    """A bank's rows, as they are aligned and split."""
    study, declared = part(config, bank, model=""), read_declaration(Path(config.data, bank))
    applications = read_applications(study)
    return Rows(
        name=bank,
        table=read_table(study),
        labels=applications.labels,
        roles=assigned(study, 1).read(Split).roles,
        signs={column.name: column.sign for column in declared.columns},
        segments=applications.segments,
    )
