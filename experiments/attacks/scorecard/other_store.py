"""A request of the scorecard to a party's store of boosting: counts under another key, again and again."""

from experiments.attacks.active import ActiveAttack, By, Stage
from experiments.attacks.boosting.truth import start
from fl.messages import Letter
from fl.scorecard import CountRequest, Labels


def count(stage: Stage) -> str:
    """Ask for counts where a forest has begun."""
    model, _ = start(stage)
    stage.ask(
        stage.victim, CountRequest(Letter.of(Labels(label_key={}, residual_key={}, encrypted={}))), model
    )
    return "counts of the bins of boosting"


COUNTS = ActiveAttack(finding=6, title="counts of another model's bins", by=By.BANK, play=count)
