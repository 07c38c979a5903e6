"""A party's half of the scorecard of several banks and passive parties; see `fl/hybrid_scorecard` for the conversation.

Once trained it is kept as that of one bank, so that all else works as there.
"""

from clients.hybrid_scorecard.label_holder import (
    add,
    agree,
    begin,
    close,
    cut,
    group,
    judge,
    open_sums,
    pass_on,
    score,
    solve,
    start,
    tally,
    tell,
)
from clients.hybrid_scorecard.passive import (
    bin_columns,
    count,
    finish,
    fit,
    gradient,
    join,
    points,
    reveal,
    step,
)
from clients.scorecard import ANSWERS_ALL, answers, contribution, explain, is_trained, log_odds

__all__ = [
    "ANSWERS_ALL",
    "add",
    "agree",
    "answers",
    "begin",
    "bin_columns",
    "close",
    "contribution",
    "count",
    "cut",
    "explain",
    "finish",
    "fit",
    "gradient",
    "group",
    "is_trained",
    "join",
    "judge",
    "log_odds",
    "open_sums",
    "pass_on",
    "points",
    "reveal",
    "score",
    "solve",
    "start",
    "step",
    "tally",
    "tell",
]
