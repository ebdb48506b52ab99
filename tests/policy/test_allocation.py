import subprocess
import sys

import pytest

from moldesign.policy.allocation import keep_freed_memory

# Page faults of taking, filling and freeing 32 MB again and again.
FAULTS = """
import resource, sys
import torch
from moldesign.policy.allocation import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
for _ in range(10):
    torch.ones(8 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones(8 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_memory_that_was_freed_is_not_asked_for_again() -> None:
    if not keep_freed_memory():
        pytest.skip("the C library has no mallopt")
    faults = {
        how: int(subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, check=True).stdout)
        for how in ("keep", "give back")
    }
    # 8,192 pages of 4 kB each time, unless the system gives larger ones.
    assert faults["keep"] < 0.1 * faults["give back"]
