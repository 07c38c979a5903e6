"""The coordinator's loop that scores the applicants in the queue of the bank's service, a run every interval."""

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from experiments.backends import open_backend
from experiments.failures import EXPECTED, sentence
from experiments.scoring import model_there, scoring_config
from fl.errors import ConfigError
from server.progress import Progress
from server.tracking.registry import find_model


def score_queue(
    uri: str,
    run: str,
    every: float,
    data: Path | None,
    parties: tuple[str, ...],
    backend: str,
    tell: Callable[[str], object],
    bank: str = "",
) -> NoReturn:
    """Score the applicants that wait at the bank by the model of a run, every so many seconds, until it is ended.

    bank is the one of several at which they wait, by its folder.

    What comes of each batch is told in a sentence. A batch that fails ends nothing: its applicants wait for the next.
    Raises ConfigError if there is no such model.
    """
    model, folder, names = model_there(find_model(uri, run), data, parties, bank)
    with open_backend(backend, parties=1) as run_federation:
        while True:
            began, events = time.monotonic(), list[Progress]()
            try:
                run_federation(scoring_config(model, uri, folder, names), events.append)
                said = events[-1].text if events else ""
            except EXPECTED as error:
                said = sentence(error)
            if said:
                tell(f"{datetime.now():%Y-%m-%d %H:%M:%S} {said}")
            time.sleep(max(0.0, began + every - time.monotonic()))


def seconds_of(text: str) -> float:
    """An interval such as 60s, 10m or 1h in seconds. Raises ConfigError for another text, and for less than a second.

    >>> [seconds_of(text) for text in ("90s", "10m", "1.5h")]
    [90.0, 600.0, 5400.0]
    """
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    try:
        seconds = float(text[:-1]) * units[text[-1:]]
    except (KeyError, ValueError):
        seconds = 0.0
    if not 1 <= seconds < float("inf"):
        raise ConfigError(f"An interval is a number with s, m or h, such as 60s, and not {text!r}.")
    return seconds
