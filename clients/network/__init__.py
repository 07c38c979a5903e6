"""A party's half of the split network; see `fl/network` for the conversation and the mathematics.

Every party's actions are in `learning`, the bank's in `label_holder`, those of passive parties in `passive`; `model` is
the trained network at work.
"""

from clients.network.label_holder import backward, score
from clients.network.learning import finish, start
from clients.network.model import ANSWERS_ALL, answers, contribution, explain, is_trained, log_odds
from clients.network.passive import embed, forward

__all__ = [
    "ANSWERS_ALL",
    "answers",
    "backward",
    "contribution",
    "embed",
    "explain",
    "finish",
    "forward",
    "is_trained",
    "log_odds",
    "score",
    "start",
]
