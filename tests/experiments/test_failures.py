import pytest

from clients.data.errors import DataError
from experiments.failures import EXPECTED, sentence
from fl.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("data/demo is not empty", "data/demo is not empty."),
        ("There is no such party. Did you mean 'tax'?", "There is no such party. Did you mean 'tax'?"),
        ("It failed.\n", "It failed."),
    ],
)
def test_an_error_is_told_as_a_sentence(text: str, said: str) -> None:
    assert sentence(DataError(text)) == said


def test_bugs_are_not_among_what_a_person_can_mend() -> None:
    assert issubclass(ConfigError, EXPECTED)
    assert not issubclass(ValueError, EXPECTED)
    assert not issubclass(FileNotFoundError, EXPECTED)
