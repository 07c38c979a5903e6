"""A party's half of boosting; see `fl/boosting` for the conversation and the mathematics.

The bank's actions are in `label_holder`, those of passive parties in `passive`; how a trained forest scores is in
`clients/forests.py`.
"""

from clients.boosting.label_holder import begin, score, split
from clients.boosting.passive import add_up, finish, grow, hand_over, outcomes, start, start_common
from clients.forests import ANSWERS_ALL, answers, contribution, explain, is_trained, log_odds

__all__ = [
    "ANSWERS_ALL",
    "add_up",
    "answers",
    "begin",
    "contribution",
    "explain",
    "finish",
    "grow",
    "hand_over",
    "is_trained",
    "log_odds",
    "outcomes",
    "score",
    "split",
    "start",
    "start_common",
]
