"""A party's half of boosting; see `fl/boosting` for the conversation and the mathematics.

The bank's actions are in `active`, those of passive parties in `passive`; `score` and `outcomes` use the forest later.
"""

from clients.boosting.active import begin, score, split
from clients.boosting.passive import add_up, finish, grow, outcomes, start

__all__ = ["add_up", "begin", "finish", "grow", "outcomes", "score", "split", "start"]
