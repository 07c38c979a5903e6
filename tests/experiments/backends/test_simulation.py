"""The backend's own parts; that a whole run works, the end-to-end tests show."""

import tomllib
from pathlib import Path

from experiments.backends.flower import write_app
from fl.config.network import NetworkConfig
from fl.config.run import TrainingConfig, read_config


def test_the_app_that_is_submitted_says_the_whole_configuration(tmp_path: Path) -> None:
    config = TrainingConfig(data="/数据/demo", seeds=(1, 2)).with_section(NetworkConfig(batches=6))

    write_app(tmp_path / "app", config, "server.app:app")

    (written,) = (tmp_path / "app").iterdir()
    app = tomllib.loads(written.read_text("utf-8"))["tool"]["flwr"]["app"]
    assert app["components"] == {"serverapp": "server.app:app", "clientapp": "clients.app:app"}
    assert read_config(app["config"]) == config
