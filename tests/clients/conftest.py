"""One message to one party, as a coordinator would send it, and a party's state as another process finds it."""

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from flwr.app import Context, Message, RecordDict

from fl.config.run import RunConfig
from fl.protocols import message_type
from fl.wire import Envelope, pack


@pytest.fixture
def send() -> Callable[..., RecordDict]:
    """Sends a request to the party of a partition, or to the one that is deployed in a folder.

    Without an envelope it goes as a query. It may be packed beforehand, and go to another action than its own (`to`).
    """
    from clients.app import app
    from experiments.backends.inline import InlineGrid

    def deliver(
        config: RunConfig,
        request: object,
        envelope: Envelope | None = None,
        node: dict | None = None,
        to: str = "",
    ) -> RecordDict:
        InlineGrid(config)  # Flower refuses to make messages outside a run
        context = Context(1, 2, node or {"partition-id": 0}, RecordDict(), dict(config.to_mapping()))
        record = request if isinstance(request, RecordDict) else pack(request, envelope or Envelope("s"))
        return app(Message(record, 2, to or message_type(type(request))), context).content

    return deliver


@pytest.fixture
def as_found_anew(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Copies a folder of state to where this process has never been, so that nothing remembered speaks for it."""
    numbers = itertools.count()

    def copy(folder: Path) -> Path:
        target = tmp_path_factory.mktemp("anew") / f"state{next(numbers)}"
        return Path(shutil.copytree(folder, target))

    return copy
