"""A passive party's part of a batch, and what it tells of all its rows once the network is trained."""

from clients.aligned import read_table
from clients.network.learning import Learning, read_rows
from clients.network.model import BOTTOM, contribution
from clients.session import Session
from fl.arrays import check_numbers
from fl.config.network import NetworkConfig
from fl.errors import ProtocolError
from fl.messages import Letter
from fl.network import BatchEmbeddings, Embedded, EmbedRequest, ForwardRequest, Lesson, Told, is_look, models
from fl.network.models import Bottom, Part


def forward(session: Session, request: ForwardRequest) -> Embedded:
    """Learn from the last batch, after keeping the weights if they are the best, and embed the next batch."""
    config, learning = session.config.section(NetworkConfig), session.state(Learning)
    learning.check_next(request.batch, config)
    rows = read_rows(session)
    bottom = Part(Bottom(rows.encoder.width, config), config, learning.parts[BOTTOM])
    if (request.lesson is None) != (request.batch == 1):
        raise ProtocolError("a lesson comes with every batch but the first")
    best = learning.best
    if request.lesson is not None:
        lesson, positions = request.lesson.read(Lesson), rows.in_batch(learning.batch)
        check_numbers("gradient", lesson.gradient, (len(positions), config.embedding))
        if lesson.best:
            best = learning.weights
        # A batch of which this party knows no row is a step of its optimiser, too.
        models.backward_embeddings(bottom, rows.inputs(positions), lesson.gradient)
        bottom.update()
    session.keep(Learning(batch=request.batch, parts={BOTTOM: bottom.state()}, best=best))
    batch = models.embed(bottom, rows.inputs(rows.in_batch(request.batch)))
    validation = models.embed(bottom, rows.judged_inputs) if is_look(request.batch, config) else None
    return Embedded(Letter.of(BatchEmbeddings(batch=batch, validation=validation)))


def embed(session: Session, request: EmbedRequest) -> Told:
    """The final model's embeddings of all that this party knows."""
    return Told(Letter.of(contribution(session.store, read_table(session.study), session.config)))
