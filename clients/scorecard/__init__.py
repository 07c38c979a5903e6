"""A party's half of the scorecard; see `fl/scorecard` for the conversation and the mathematics.

The bank's actions are in `label_holder`, those of passive parties in `passive`. A trained scorecard at work is in
`model`.
"""

from clients.scorecard.label_holder import begin, group, open_sums, score, solve
from clients.scorecard.model import ANSWERS_ALL, answers, contribution, explain, is_trained, log_odds
from clients.scorecard.passive import count, finish, fit, gradient, points, start, step

__all__ = [
    "ANSWERS_ALL",
    "answers",
    "begin",
    "contribution",
    "count",
    "explain",
    "finish",
    "fit",
    "gradient",
    "group",
    "is_trained",
    "log_odds",
    "open_sums",
    "points",
    "score",
    "solve",
    "start",
    "step",
]
