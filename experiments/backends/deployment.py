"""Flower's Deployment Engine: the federation that `siloscore federation up` has started on this machine.

The run is the same as in simulation, and so are its messages and its results. But every party is a process of its own
that has only its own folder, and its policy binds with the defaults of a deployed party.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from experiments.backends.flower import BackendError, RunFederation
from fl.config.run import RunConfig
from fl.errors import ConfigError
from server.journal import is_held
from server.progress import Report

_LAST_WORDS_SECONDS = 5.0
"""A coordinator that has left its journal tells within these how the run has ended."""


@contextmanager
def opened(parties: int, serverapp: str = "server.app:app") -> Iterator[RunFederation]:
    """Gives a function that runs configurations on the federation of their dataset.

    The function raises ConfigError when no federation runs there, or a party is not in it, and BackendError as
    `Flower.run` does, and when the run's coordinator, or the federation, dies.
    """
    # With cryptography and Flower's client, which the other backends do not need.
    from clients.data.declaration import read_declaration
    from experiments.federation.layout import Layout
    from experiments.federation.lifecycle import flower_of, running_record

    def run(config: RunConfig, report: Report) -> None:
        record, layout = running_record(config.data_folder), Layout(config.data_folder)
        if absent := [name for name in config.parties if name not in record.parties]:
            raise ConfigError(
                f"The federation has no party {absent[0]!r}; it has {', '.join(record.parties)}."
            )
        if config.state:
            raise ConfigError(
                "Deployed parties keep their state in their own folders; leave out the setting `state`."
            )

        pulse = Pulse(config)

        def check() -> None:
            try:
                running_record(config.data_folder)
            except ConfigError as error:
                raise BackendError(str(error)) from None
            pulse.require()

        # The coordinator knows parties by the names that they declare, and not by those of their folders here.
        names = tuple(read_declaration(config.data_folder / name).name for name in config.parties)
        flower_of(layout).run(replace(config, parties=names), report, serverapp, check=check)

    yield run


class Pulse:
    """Tells whether the coordinator of a run lives, by its journal; Flower itself says so a minute later."""

    def __init__(self, config: RunConfig) -> None:
        self._journal, self._study = config.journal, config.study
        self._felt: float | None = None

    def require(self) -> None:
        """Raises BackendError when the coordinator has begun, and died since."""
        now = time.monotonic()
        if is_held(self._journal, self._study):
            self._felt = now
        elif self._felt is not None and now - self._felt > _LAST_WORDS_SECONDS:
            raise BackendError(
                f"The run's coordinator has died. `siloscore resume {self._study}` goes on from its last step."
            )
