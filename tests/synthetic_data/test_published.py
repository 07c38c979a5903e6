"""Whether this machine gives the published economies, also when it computes as other machines do."""

import os
import subprocess
import sys
import tomllib

import numpy as np
import pytest

from synthetic_data import WORLDS
from synthetic_data.published import ECONOMIES, PUBLISHED, economy_digests

published = tomllib.loads(PUBLISHED.read_text(encoding="utf-8"))


def test_every_world_is_published() -> None:
    assert list(published) == list(ECONOMIES)
    assert set(WORLDS) < set(ECONOMIES)


@pytest.mark.parametrize("name", [*WORLDS, "three-banks"])
def test_this_machine_gives_the_published_economies(name: str) -> None:
    assert economy_digests(name) == published[name]


@pytest.mark.parametrize("worlds", [["base"], pytest.param(list(WORLDS), marks=pytest.mark.slow)], ids=len)
def test_a_processor_without_vector_instructions_gives_the_published_economies(worlds: list[str]) -> None:
    # NumPy's, the C library's and BLAS's own ways to compute as on an older processor.
    older = {
        "NPY_DISABLE_CPU_FEATURES": " ".join(np.show_config("dicts")["SIMD Extensions"].get("found", [])),
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F",
        "OPENBLAS_CORETYPE": "Prescott",
    }

    def told(*arguments: str, environment: dict[str, str]) -> str:
        command = [sys.executable, *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    exponentials = "import numpy; print(numpy.exp(numpy.linspace(-9, 9, 9999, dtype='f4')).tobytes())"
    if told("-c", exponentials, environment=dict(os.environ)) == told(
        "-c", exponentials, environment=os.environ | older
    ):
        pytest.skip("The variables change nothing here: NumPy has one way to compute on this processor.")
    printed = told("-m", "synthetic_data.published", *worlds, environment=os.environ | older)
    assert tomllib.loads(printed) == {world: published[world] for world in worlds}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["demo", "true-pd"])
def test_this_machine_gives_the_published_demo_and_true_probabilities(name: str) -> None:
    assert economy_digests(name) == published[name]
