"""A bank that has trained with its partners, and a client of its service."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from clients.serving.app import create_app
from clients.serving.keys import Keys, new_key
from clients.serving.queue import Queue
from clients.serving.scorer import Scorer
from clients.serving.service import Service
from clients.session import QUEUE
from experiments.backends.inline import InlineGrid
from experiments.lending.policy import CashFlow, Policy
from experiments.serving import PolicyLender
from fl.config.boosting import BoostingConfig
from fl.config.run import TrainingConfig
from server.coordinator import assign_roles, connect, train, train_reserve
from server.progress import ignore
from server.training import Training
from tests.served_bank import MODEL, Bank


@pytest.fixture(scope="session")
def trained(make_tables: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Bank:
    folder, data = tmp_path_factory.mktemp("serving"), make_tables(months=True)
    config = TrainingConfig(
        data=str(data),
        parties=("bank", "tax", "supply"),
        study="s",
        state=str(folder / "state"),
        tracking_uri=f"sqlite:///{folder}/mlflow.db",
        connect_timeout=1,
    ).with_section(
        BoostingConfig(
            trees=8,
            min_leaf_count=10,
            l2=1.0,
            row_share=1.0,
            column_share=1.0,
            calibrate=False,
            encryption="plain",
        )
    )
    federation = connect(InlineGrid(config), config, ignore)
    assigned = assign_roles(federation, 1)
    train_reserve(federation, assigned, 1, ignore)
    settings = {"assigned": assigned, "config": config, "on_progress": ignore}
    train(federation, Training(contender="federated-boosting", seed=1, **settings))
    return Bank(config)


@pytest.fixture
def bank(trained: Bank, tmp_path: Path) -> Bank:
    """The bank with folders of the test's own."""
    shutil.copytree(trained.config.data, tmp_path / "data")
    shutil.copytree(trained.config.state, tmp_path / "state")
    return Bank(
        replace(
            trained.config,
            data=str(tmp_path / "data"),
            state=str(tmp_path / "state"),
            tracking_uri=f"sqlite:///{tmp_path}/mlflow.db",
        )
    )


@pytest.fixture
def lender(bank: Bank) -> PolicyLender:
    return PolicyLender(
        Scorer(bank.folder, bank.state, MODEL), Policy(choose="approval-rate", target=0.6), CashFlow()
    )


@pytest.fixture
def client(bank: Bank, lender: PolicyLender) -> Iterator[TestClient]:
    """A client with a key."""
    scorer = Scorer(bank.folder, bank.state, MODEL)
    queue = Queue(bank.state / QUEUE)
    headers = {"Authorization": f"Bearer {new_key(bank.folder, 'loans')}"}
    with TestClient(create_app(Service(scorer, queue, lender), Keys(bank.folder)), headers=headers) as client:
        yield client
    queue.close()
