"""Settings of the split network, and of the one that several banks train together."""

from dataclasses import dataclass
from typing import Annotated

from fl.config.checks import BelowOne, Count, NotNegative, Positive, at_least, check, is_positive, one_of
from fl.rules import Rule

SMALLEST_BATCH = 64
"""Rows of a training batch at least. Of each batch the coordinator is told the mean loss, to four digits.

From that and every row's PD, all labels of 10 rows follow in 96 of 100 batches, and of 16 rows in 60. Of 64 rows, a
million ways to label them, or more, have the loss in common.
"""


@dataclass(frozen=True)
class NetworkConfig:
    """Settings of the split network (`fl/network`), and of that of several banks (`fl/banks/network.py`).

    batch_size      rows per training batch, `SMALLEST_BATCH` at least
    batches         training batches at most; one costs two round trips
    bins            quantile bins of the piecewise-linear encoding of a numeric column
    embedding       numbers per row that a party sends to the bank
    top             hidden units of the bank's top model
    learning_rate   peak of the one-cycle schedule of AdamW
    weight_decay    AdamW's decoupled weight decay
    defence         what hides labels in the gradients: `gaussian`, `max-norm` or `none`
    noise           `gaussian`: standard deviation of the noise in units of the batch's largest row norm
    party_dropout   share of rows for which a party is hidden from the top model in training
    evaluate_every  batches between two looks at the validation AUC
    patience        looks without improvement after which training stops; of several banks, rounds

    Of several banks alone, which share bins, embedding, top and patience with the split network:

    rounds          rounds of training at all banks and one sum of weights, at most
    local_epochs    times that a bank goes through its training rows in a round
    local_batch     rows per batch at a bank
    local_rate      learning rate of a bank's gradient descent
    local_decay     share of the weights that is added to their gradient
    proximal        pull back to where the round began (FedProx); 0: none (FedAvg)
    """

    batch_size: Annotated[int, at_least(SMALLEST_BATCH)] = 4096
    batches: Count = 140
    bins: Count = 8
    embedding: Count = 16
    top: Count = 16
    learning_rate: Positive = 0.01
    weight_decay: BelowOne = 0.2
    defence: Annotated[str, one_of("gaussian", "max-norm", "none")] = "gaussian"
    noise: Annotated[float, Rule("positive (to switch it off: defence none)", is_positive)] = 4.0
    party_dropout: BelowOne = 0.1
    evaluate_every: Count = 5
    patience: Count = 14
    rounds: Count = 60
    local_epochs: Count = 1
    local_batch: Count = 128
    local_rate: Positive = 0.05
    local_decay: NotNegative = 0.001
    proximal: NotNegative = 0.0

    def __post_init__(self) -> None:
        check(self, "network.")
