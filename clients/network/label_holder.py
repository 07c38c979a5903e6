"""The bank's part of a batch, and its PD of every row once the network is trained."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clients.aligned import read_applications, read_coverage, read_table
from clients.evaluation import keep_scores
from clients.network.learning import Learning, Rows, read_rows
from clients.network.model import BOTTOM, TOP, log_odds, placed
from clients.session import Session
from fl.config.network import NetworkConfig
from fl.errors import ProtocolError
from fl.evaluation import Scored
from fl.evaluation.measures import log_loss
from fl.messages import Letter
from fl.metrics import auc
from fl.network import (
    BackwardRequest,
    BatchEmbeddings,
    Embeddings,
    Ended,
    Floats,
    Learned,
    Lesson,
    Look,
    ScoreRequest,
    Verdict,
    is_look,
    models,
)
from fl.network.defence import defend
from fl.network.models import Bottom, Part, Top
from fl.seeds import generator


def backward(session: Session, request: BackwardRequest) -> Learned | Ended:
    """Judge the weights if a look comes before this batch; unless training ends with that, learn from the batch."""
    config, learning = session.config.section(NetworkConfig), session.state(Learning)
    learning.check_next(request.batch, config)
    learning, bank = replace(learning, batch=request.batch), _bank(session, learning)
    received = {party: letter.read(BatchEmbeddings) for party, letter in request.embeddings.items()}
    look, best = None, False
    if is_look(request.batch, config):
        look = bank.look({p: part.validation for p, part in received.items() if part.validation is not None})
        best = look.auc > learning.best_auc
        learning = replace(learning, looks=learning.looks + 1)
        if best:
            learning = replace(learning, best=learning.weights, best_auc=look.auc, looks=0)
        if learning.has_ended(config):
            session.keep(learning)
            return Ended(verdict=Letter.of(Verdict(best)), look=look)
    gradients, loss = bank.learn(request.batch, {party: part.batch for party, part in received.items()})
    session.keep(replace(learning, parts={BOTTOM: bank.bottom.state(), TOP: bank.top.state()}))
    return Learned(
        batch=request.batch,
        lessons={
            party: Letter.of(Lesson(gradient=gradient, best=best)) for party, gradient in gradients.items()
        },
        loss=loss,
        look=look,
    )


def score(session: Session, request: ScoreRequest) -> Scored:
    """The PD of every position by the final model, kept here, and its evaluation on the test rows."""
    table, coverage = read_table(session.study), read_coverage(session.study)
    embeddings = {party: letter.read(Embeddings) for party, letter in request.embeddings.items()}
    scores = log_odds(session.store, table, coverage, embeddings, session.config)
    return keep_scores(session, scores, read_rows(session).roles)


@dataclass(frozen=True, kw_only=True)
class _Bank:
    """The bank's models, and the rows by which they learn and are judged: labels int8 (n,), coverage bool (n,) each."""

    config: NetworkConfig
    rows: Rows
    labels: NDArray[np.int8]
    coverage: Mapping[str, NDArray[np.bool_]]
    bottom: Part[Bottom]
    top: Part[Top]

    def look(self, embeddings: Mapping[str, Floats]) -> Look:
        """Judge the models on the validation rows, of which these are the passive parties' embeddings."""
        positions = self.rows.judged
        passive, present = placed(embeddings, self.coverage, positions, self.config)
        scores = models.predict(self.bottom, self.top, self.rows.judged_inputs, passive, present)
        labels = self.labels[positions]
        return Look(auc=auc(labels, scores), loss=log_loss(scores, labels))

    def learn(self, batch: int, embeddings: Mapping[str, Floats]) -> tuple[dict[str, Floats], float]:
        """Learn from a batch by the passive parties' embeddings: their defended gradients, and the mean log loss."""
        positions = self.rows.in_batch(batch)
        passive, present = placed(embeddings, self.coverage, positions, self.config)
        chance = generator(self.rows.seed, "dropout", str(self.bottom.steps)).random(present.shape)
        gradients, loss = models.backward(
            self.bottom,
            self.top,
            self.rows.inputs(positions),
            passive,
            present & (chance >= self.config.party_dropout),
            self.labels[positions],
        )
        if not np.isfinite(loss):
            raise ProtocolError("training diverged: the loss is not finite; lower network.learning-rate")
        self.bottom.update()
        self.top.update()
        by_party = zip(self.coverage, gradients, present.T, strict=True)
        return {party: defend(gradient[known], self.config) for party, gradient, known in by_party}, loss


def _bank(session: Session, learning: Learning) -> _Bank:
    """The bank's side of the network as it stands."""
    config, rows, coverage = (
        session.config.section(NetworkConfig),
        read_rows(session),
        read_coverage(session.study),
    )
    return _Bank(
        config=config,
        rows=rows,
        labels=read_applications(session.study).labels,
        coverage=coverage,
        bottom=Part(Bottom(rows.encoder.width, config), config, learning.parts[BOTTOM]),
        top=Part(Top(len(coverage), config), config, learning.parts[TOP]),
    )
