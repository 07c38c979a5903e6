"""What the attacks on boosting of those who depart from the protocol begin with, and are judged by."""

import numpy as np

from clients.aligned import read_table
from clients.binned import Setup, Start
from experiments.attacks.active import Stage
from fl.binning import Binning
from fl.boosting import StartRequest
from fl.splits import TEST, TRAIN


def start(stage: Stage) -> tuple[str, Setup]:
    """Begin a forest at the victim, as an honest coordinator does: the name of its model, and the victim's rows.

    Of these the bank is told all but the bins; whoever is not told how many there are can count up.
    """
    model = stage.model("federated-boosting")
    stage.exchange.ask({stage.victim: StartRequest(seed=stage.seed, split=stage.split)}, model)
    store = stage.store(stage.victim, model)
    begun, binning = store.read(Start), store.read(Binning)
    positions = np.flatnonzero(begun.roles != TEST)
    return model, Setup(
        seed=begun.seed,
        roles=begun.roles,
        positions=positions,
        training=begun.roles[positions] == TRAIN,
        binning=binning,
        codes=binning.transform(read_table(stage.store(stage.victim, "")), positions),
    )
