"""A study in a store of its own."""

import pytest
from mlflow import MlflowClient

from server.tracking.provenance import DatasetFacts
from server.tracking.study import Study


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


@pytest.fixture(scope="module")
def client(uri):
    return MlflowClient(uri)


@pytest.fixture
def study(uri, request):
    facts = DatasetFacts("demo", "0123abcd", "data/demo", 20_000)
    return Study.start(uri, request.node.name, "demo", params={"rows": 5000}, world="base", dataset=facts)
