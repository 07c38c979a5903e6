"""Embeddings of an earlier batch in place of the new ones: whoever chooses what is judged learns from exact losses."""

from experiments.attacks.active import ActiveAttack, By, Stage
from experiments.attacks.network.single_rows import begin, embed, learn


def replay(stage: Stage) -> str:
    """Give the bank the embeddings of the first batch for the second one, too."""
    begin(stage)
    first = embed(stage, 1, {})
    learned = learn(stage, 1, first)
    embed(stage, 2, learned.lessons)
    learn(stage, 2, first)
    return "the loss of embeddings of the coordinator's choice"


REPLAY = ActiveAttack(finding=7, title="embeddings of another batch", by=By.COORDINATOR, play=replay)
