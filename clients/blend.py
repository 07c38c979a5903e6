"""The bank's half of the blend; see `fl/blend.py`. Its members score in the conversation `scoring`."""

from clients.aligned import read_applications
from clients.evaluation import keep_scores
from clients.scores import Scores
from clients.session import Session
from clients.store import Store
from fl.blend import Blend, BlendRequest, blended
from fl.config.blend import BlendConfig
from fl.evaluation import Scored
from fl.splits import Split

ANSWERS_ALL = False
"""The reserve model has a say on businesses that no passive party knows; see `clients/scoring.py`."""


def blend(session: Session, request: BlendRequest) -> Scored:
    """Blend the models of the study and seed whose training has ended; keep the blend and the PD of every position."""
    study, seed = session.envelope.study, session.envelope.seed
    algorithms = session.config.section(BlendConfig).members
    stores = {f"federated-{name}": session.earlier(study, f"federated-{name}/{seed}") for name in algorithms}
    members = {name: store.read(Scores).unmixed for name, store in stores.items() if store.has(Scores)}
    roles = session.earlier(study, f"splits/{seed}").read(Split).roles
    mean, table = blended(members, read_applications(session.study).labels, roles, seed)
    session.store.keep(mean)
    return keep_scores(session, mean.log_odds(members), roles, {"members": table})


def is_trained(model: Store) -> bool:
    """Whether a store, the bank's, holds a blend."""
    return model.has(Blend)
