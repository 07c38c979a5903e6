"""Flower's Deployment Engine: the federation that `siloscore federation up` has started on this machine.

The run is the same as in simulation, and so are its messages and its results. But every party is a process of its own
that has only its own folder, and its policy binds with the defaults of a deployed party.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from experiments.backends.flower import BackendError, RunFederation
from fl.config.run import RunConfig
from fl.errors import ConfigError
from server.locks import is_held, serverapp_lock
from server.progress import Report


@contextmanager
def opened(parties: int, serverapp: str = "server.app:app") -> Iterator[RunFederation]:
    """Gives a function that runs configurations on the federation of their dataset.

    The function raises ConfigError when no federation runs there, or a party is not in it, and BackendError as
    `Flower.run` does, and when the run's coordinator, or the federation, dies.
    """
    # With cryptography and Flower's client, which the other backends do not need.
    from clients.data.declaration import read_declaration
    from experiments.federation.control import SuperLink
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

        pulse = Pulse()

        def check(number: str) -> None:
            try:
                record = running_record(config.data_folder)
            except ConfigError as error:
                raise BackendError(str(error)) from None
            if pulse.is_lost(serverapp_lock(layout.coordinator.flower, number)):
                failure = ""
                with suppress(BackendError):  # the SuperLink may be away, too
                    failure = SuperLink(layout, record).end(int(number))
                raise BackendError(broken_off(config, failure))

        # The coordinator knows parties by the names that they declare, and not by those of their folders here.
        names = tuple(read_declaration(config.data_folder / name).name for name in config.parties)
        flower_of(layout).run(replace(config, parties=names), report, serverapp, check=check)

    yield run


class Pulse:
    """Tells whether a ServerApp lives, by the lock that it holds; Flower itself says so a minute later."""

    def __init__(self) -> None:
        self._was_missed = False

    def is_lost(self, lock: Path) -> bool:
        """Whether it has ended, at the second look: before that, what it said last can be read."""
        was_missed, self._was_missed = self._was_missed, lock.exists() and not is_held(lock)
        return was_missed and self._was_missed


def broken_off(config: RunConfig, failure: str) -> str:
    """What to say when the coordinator of a run has died; failure is what Flower knows of that, if anything."""
    reason = f": {failure.rstrip('.')}" if failure else ""
    has_begun = (Path(config.journal) / config.study).exists()
    resume = f"`siloscore resume {config.study}` goes on from its last step."
    further = resume if has_begun else "It had done nothing yet; type the command again."
    return f"The run's coordinator has died{reason}. {further}"
