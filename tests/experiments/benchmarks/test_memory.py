import subprocess
import sys

# It gives its memory back before most looks at it.
PROGRAM = "import time; block = bytearray(2**28); block[::4096] = bytes(2**16); del block; time.sleep(0.8)"

# In a process of its own: that of the tests may have others, which come and go.
WATCHER = f"""
import subprocess, sys
from experiments.benchmarks.memory import peak_memory

with peak_memory() as found:
    subprocess.run([sys.executable, "-c", {PROGRAM!r}], check=True)
print(*found)
"""


def test_memory_is_counted_by_process() -> None:
    told = subprocess.run([sys.executable, "-c", WATCHER], check=True, capture_output=True, text=True)
    small, large = sorted(float(peak) for peak in told.stdout.split())
    assert small < 100
    assert 256 < large < 300
