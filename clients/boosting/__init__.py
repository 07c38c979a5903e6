"""A party's half of boosting; see `fl/boosting` for the conversation and the mathematics.

The bank's actions are in `active`, those of passive parties in `passive`; `scoring` uses the forest later.
"""

from clients.boosting.label_holder import begin, split
from clients.boosting.passive import add_up, finish, grow, start
from clients.forests import contribution, log_odds, outcomes, score

__all__ = [
    "add_up",
    "begin",
    "contribution",
    "finish",
    "grow",
    "log_odds",
    "outcomes",
    "score",
    "split",
    "start",
]
