import pytest

from experiments.settings import parse_settings
from fl.config.run import app_defaults
from fl.errors import ConfigError


def test_values_are_read_as_what_they_look_like() -> None:
    words = [
        "network.batches=6",
        "network.noise=8.0",
        "network.learning-rate=1e-3",
        "network.defence=none",
        " alignment = inner ",
        "test-ids=/data/ids=2.csv",
        'state="/tmp/7"',
    ]
    assert parse_settings(words) == {
        "network.batches": 6,
        "network.noise": 8.0,
        "network.learning-rate": 0.001,
        "network.defence": "none",
        "alignment": "inner",
        "test-ids": "/data/ids=2.csv",
        "state": "/tmp/7",
    }


@pytest.mark.parametrize("text", ["[1, 2]", "{a = 1}", "2023-01-01", ""])
def test_what_is_no_plain_value_is_text(text: str) -> None:
    assert parse_settings([f"state={text}"]) == {"state": text}


def test_a_word_without_an_equals_sign_is_refused() -> None:
    with pytest.raises(ConfigError, match="has no equals sign"):
        parse_settings(["network.batches"])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("seeds", "use the option --seeds"),
        ("tracking-uri", "use the option --store"),
        ("world", "it is the dataset's"),
        ("progress", "the command sees to it"),
    ],
)
def test_what_the_command_decides_cannot_be_set_beside_it(name: str, said: str) -> None:
    assert name in app_defaults()
    with pytest.raises(ConfigError, match=f"{name!r} cannot be --set: {said}"):
        parse_settings([f"{name}=1"])
