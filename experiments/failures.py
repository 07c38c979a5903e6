"""Which errors are the user's to act on: the command tells them in a sentence, without a traceback."""

from clients.errors import DataError
from experiments.engines.simulation import EngineError
from fl.errors import ConfigError, ProtocolError
from server.exchange import FederationError

EXPECTED = (ConfigError, DataError, EngineError, FederationError, ProtocolError)


def sentence(error: BaseException) -> str:
    """The error's own text, which begins with a capital and ends with a stop."""
    text = str(error).strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?")) else ".")
