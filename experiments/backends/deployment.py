"""Flower's Deployment Engine: the federation that `siloscore federation up` has started on this machine.

The run is the same as in simulation, and so are its messages and its results. But every party is a process of its own
that has only its own folder, and its policy binds with the defaults of a deployed party.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from experiments.backends.flower import BackendError, RunFederation
from fl.config.run import RunConfig
from fl.errors import ConfigError
from server.progress import Report


@contextmanager
def opened(parties: int, serverapp: str = "server.app:app") -> Iterator[RunFederation]:
    """Gives a function that runs configurations on the federation of their dataset.

    The function raises ConfigError when no federation runs there, or a party is not in it, and BackendError as
    `Flower.run` does.
    """
    # With cryptography and Flower's client, which the other backends do not need.
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

        def check() -> None:
            try:
                running_record(config.data_folder)
            except ConfigError as error:
                raise BackendError(str(error)) from None

        flower_of(layout).run(config, report, serverapp, check=check)

    yield run
