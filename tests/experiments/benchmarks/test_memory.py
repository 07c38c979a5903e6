import subprocess
import sys

from experiments.benchmarks.memory import peak_memory


def test_memory_is_counted_by_process() -> None:
    program = (
        "import time; block = bytearray(2**28); block[::4096] = bytes(2**16); del block; time.sleep(0.8)"
    )
    with peak_memory() as before:
        pass
    with peak_memory() as found:
        subprocess.run([sys.executable, "-c", program], check=True)

    assert len(found) == len(before) + 1
    assert any(256 < peak < 300 for peak in found)  # given back before most looks
