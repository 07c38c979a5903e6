"""One message to one party, as a coordinator would send it, and a party's state as another process finds it."""

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from flwr.app import Context, Message, RecordDict

from fl.alignment import MeetRequest
from fl.config.run import RunConfig, TrainingConfig
from fl.handshake import DescribeRequest, Description
from fl.protocols import message_type
from fl.wire import Envelope, pack, refusal_in, unpack


@pytest.fixture
def config(tables: Path, tmp_path: Path) -> TrainingConfig:
    """A run of the bank and its two passive parties."""
    parties = ("bank", "tax", "supply")
    return TrainingConfig(data=str(tables), parties=parties, state=str(tmp_path / "state"), study="s")


@pytest.fixture
def send() -> Callable[..., RecordDict]:
    """Sends a request to the party of a partition, or to the one that is deployed in a folder.

    Without an envelope it goes as a query. It may be packed beforehand, and go to another action than its own (`to`).
    Letters are open on this side (`tests/open_letters.py`), unless they are to stay as they travel (`sealed`).
    """
    from clients.app import app
    from experiments.backends.inline import InlineGrid
    from tests.open_letters import OpenLetters

    def deliver(
        config: RunConfig,
        request: object,
        envelope: Envelope | None = None,
        node: dict | None = None,
        to: str = "",
        sealed: bool = False,
    ) -> RecordDict:
        InlineGrid(config)  # Flower refuses to make messages outside a run
        context = Context(1, 2, node or {"partition-id": 0}, RecordDict(), dict(config.to_mapping()))
        record = request if isinstance(request, RecordDict) else pack(request, envelope or Envelope("s"))
        message = Message(record, 2, to or message_type(type(request)))
        return (app if sealed else OpenLetters(config))(message, context).content

    return deliver


@pytest.fixture
def introduction(send: Callable[..., RecordDict]) -> Callable[[RunConfig], MeetRequest]:
    """Makes the first request of a run's study, in which its parties are introduced to each other."""

    def gather(config: RunConfig) -> MeetRequest:
        nodes = [{"partition-id": partition} for partition in range(len(config.parties))]
        described = [unpack(send(config, DescribeRequest(), node=node), Description) for node in nodes]
        return MeetRequest({about.name: about.introduction for about in described})

    return gather


@pytest.fixture
def meet(
    send: Callable[..., RecordDict], introduction: Callable[[RunConfig], MeetRequest]
) -> Callable[[RunConfig], None]:
    """Begins a run's study at every party, by step 1."""

    def begin(config: RunConfig) -> None:
        request, step = introduction(config), Envelope(config.study, "", 1)
        for partition in range(len(config.parties)):
            assert refusal_in(send(config, request, step, {"partition-id": partition})) is None

    return begin


@pytest.fixture
def as_found_anew(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Copies a folder of state to where this process has never been, so that nothing remembered speaks for it."""
    numbers = itertools.count()

    def copy(folder: Path) -> Path:
        target = tmp_path_factory.mktemp("anew") / f"state{next(numbers)}"
        return Path(shutil.copytree(folder, target))

    return copy
