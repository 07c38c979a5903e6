"""Which errors are the user's to act on: the command tells them in a sentence, without a traceback."""

from clients.data.errors import DataError
from experiments.backends.flower import BackendError
from fl.errors import ConfigError, ProtocolError
from server.exchange import FederationError


class StudyError(RuntimeError):
    """Contenders of a study have failed without which there is no result; the text names them and the reasons."""


EXPECTED = (ConfigError, DataError, BackendError, FederationError, ProtocolError, StudyError)


def sentence(error: BaseException) -> str:
    """The error's own text, with a stop at its end, and its notes. A first word may be a path, so it stays as it is."""
    texts = [text.strip() for text in (str(error), *getattr(error, "__notes__", ()))]
    return "\n".join(text if text.endswith((".", "?")) else f"{text}." for text in texts)
