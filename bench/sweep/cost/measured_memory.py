"""What a trial's training really takes at its peak, in a process of its own.

    python -m bench.sweep.cost.measured_memory < CONFIG.json

A few steps on blank batches, without sampling or checkpoints. On a CPU the peak is the system's own
count of resident memory (VmHWM, which Linux lets a process set back) above what the process had
before, after a first training had loaded all there is to load; on a GPU it is that of torch's
allocator.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys

from bench.config import TrialConfig
from bench.errors import BenchError
from bench.metrics.throughput import GB, MemoryGauge, give_back_freed, resident_bytes

STEPS = 2


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

    torch.set_num_threads(config.train.threads)
    _train(config)  # torch loads its kernels, and Python its modules, on the first training
    if config.train.device.startswith("cuda"):
        return torch.cuda.max_memory_reserved() / GB
    gc.collect()
    give_back_freed()
    before = resident_bytes("VmRSS")
    gauge = MemoryGauge()
    _train(config)
    return max((gauge.read().gb or 0.0) - before / GB, 0)


def _train(config: TrialConfig) -> None:
    from bench.methods import build_method
    from bench.sweep.cost.timing import Blank
    from bench.train.loop import Training

    training = Training(config.train, build_method(config), Blank(config), config.seed, "measure")
    training.advance(min(STEPS * config.train.batch_size, config.train.budget_nimg))


if __name__ == "__main__":
    print(run(TrialConfig.from_dict(json.loads(sys.stdin.read()))))
