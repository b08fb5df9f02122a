"""What a trial's training really takes at its peak, in a process of its own.

    python -m bench.sweep.cost.measured_memory < CONFIG.json

A few steps on blank batches, without sampling or checkpoints. On a CPU the peak is the system's own
count of the process (ru_maxrss) less what it had before the network was built; on a GPU that of
torch's allocator.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys

from bench.config import TrialConfig
from bench.errors import BenchError

STEPS = 2
GB = 1e9
RSS_UNIT = 1024  # bytes of ru_maxrss on Linux


def measured_gb(config: TrialConfig) -> float:
    """GB above the process's own, of a fresh process.

    Raises:
        BenchError: it did not end well (too little memory, most likely).
    """
    command = [sys.executable, "-m", "bench.sweep.cost.measured_memory"]
    body = json.dumps(config.to_dict())
    done = subprocess.run(command, input=body, capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        reason = said[-1] if said else f"signal {-done.returncode}"
        raise BenchError(f"its training could not be measured here: {reason}")
    return float(done.stdout)


def run(config: TrialConfig) -> float:
    """Train a few steps in this process, which did nothing before; GB."""
    import torch

    from bench.methods import build_method
    from bench.sweep.cost.timing import Blank
    from bench.train.loop import Training

    torch.set_num_threads(config.train.threads)
    on_gpu = config.train.device.startswith("cuda")
    before = _peak_bytes()
    training = Training(config.train, build_method(config), Blank(config), config.seed, "measure")
    training.advance(min(STEPS * config.train.batch_size, config.train.budget_nimg))
    if on_gpu:
        return torch.cuda.max_memory_reserved() / GB
    return (_peak_bytes() - before) / GB


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT


if __name__ == "__main__":
    print(run(TrialConfig.from_dict(json.loads(sys.stdin.read()))))
