"""Settings of the split network."""

from dataclasses import dataclass

from fl.config.checks import positive, require, setting_name


@dataclass(frozen=True)
class NetworkConfig:
    """Settings of the split network (`fl/network`).

    batch_size      rows per training batch
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
    patience        looks without improvement after which training stops
    """

    batch_size: int = 4096
    batches: int = 140
    bins: int = 8
    embedding: int = 16
    top: int = 16
    learning_rate: float = 0.01
    weight_decay: float = 0.2
    defence: str = "gaussian"
    noise: float = 4.0
    party_dropout: float = 0.1
    evaluate_every: int = 5
    patience: int = 14

    def __post_init__(self) -> None:
        for name in (
            "batch_size",
            "batches",
            "bins",
            "embedding",
            "top",
            "evaluate_every",
            "patience",
        ):
            require(
                getattr(self, name) >= 1, f"network.{setting_name(name)}", "1 or more", getattr(self, name)
            )
        require(positive(self.learning_rate), "network.learning-rate", "positive", self.learning_rate)
        require(0 <= self.weight_decay < 1, "network.weight-decay", "in [0, 1)", self.weight_decay)
        require(
            self.defence in ("gaussian", "max-norm", "none"),
            "network.defence",
            "gaussian, max-norm or none",
            self.defence,
        )
        require(
            positive(self.noise), "network.noise", "positive (to switch it off: defence none)", self.noise
        )
        require(0 <= self.party_dropout < 1, "network.party-dropout", "in [0, 1)", self.party_dropout)
