"""A party's half of the scorecard; see `fl/scorecard` for the conversation and the mathematics.

The bank's actions are in `active`, those of passive parties in `passive`; `points` and `score` use the scorecard later.
"""

from clients.scorecard.active import begin, group, open_sums, score, solve
from clients.scorecard.passive import count, finish, gradient, points, start, step

__all__ = [
    "begin",
    "count",
    "finish",
    "gradient",
    "group",
    "open_sums",
    "points",
    "score",
    "solve",
    "start",
    "step",
]
