"""What pyproject.toml tells Flower of the app: every setting of a run, as `flwr run` wants to find it.

Each is at its default, but for the parties: those of a generated economy.

`python -m experiments.app_config` writes it there, after the list of protocols or a setting has changed.
"""

from pathlib import Path
from typing import Any

import tomli_w

from fl.config.run import app_defaults
from synthetic_data import STANDARD

_FIRST, _LAST = "[tool.flwr.app.config]", "[tool.hatch"


def app_config() -> str:
    """The tables of pyproject.toml, without the line that opens the first."""
    nested: dict[str, Any] = {}
    for key, value in {**app_defaults(), "parties": ",".join(STANDARD)}.items():
        section, _, name = key.rpartition(".")
        (nested.setdefault(section, {}) if section else nested)[name] = value
    return tomli_w.dumps({"tool": {"flwr": {"app": {"config": nested}}}})


def written_in(text: str) -> str:
    """pyproject.toml with these tables in place of those that stand there."""
    before, _, rest = text.partition(_FIRST)
    _, mark, after = rest.partition(_LAST)
    return f"{before}{app_config()}\n{mark}{after}"


if __name__ == "__main__":
    path = Path(__file__).parents[1] / "pyproject.toml"
    path.write_text(written_in(path.read_text("utf-8")), "utf-8")
