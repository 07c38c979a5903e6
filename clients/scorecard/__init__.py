"""A party's half of the scorecard; see `fl/scorecard` for the conversation and the mathematics.

The bank's actions are in `active`, those of passive parties in `passive`; `scoring` uses the scorecard later.
"""

from clients.scorecard.label_holder import begin, group, open_sums, score, solve
from clients.scorecard.model import ANSWERS_ALL, answers, contribution, log_odds
from clients.scorecard.passive import count, finish, gradient, points, start, step

__all__ = [
    "ANSWERS_ALL",
    "answers",
    "begin",
    "contribution",
    "count",
    "finish",
    "gradient",
    "group",
    "log_odds",
    "open_sums",
    "points",
    "score",
    "solve",
    "start",
    "step",
]
