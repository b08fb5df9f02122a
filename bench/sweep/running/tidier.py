"""What a trial's folder needs no more is deleted, once the journal says how it ended."""

from __future__ import annotations

from pathlib import Path

from bench.sweep.record.history import Record
from bench.sweep.running.engine import Listener
from bench.train import checkpoint


def tidier(folder: Path) -> Listener:
    """Deletes what an ended trial needs no more: its checkpoints, and without a score all weights;
    of one that waits all checkpoints but the last.

    Once its end is in the journal and not before: until then the checkpoint is the way back.
    """

    def tidy(record: Record) -> None:
        if record["kind"] != "outcome" or record["outcome"] == "interrupted":
            return
        place = folder / "trials" / f"{record['trial']:04d}"
        if record["outcome"] == "waiting":
            checkpoint.retain(place, keep=1)
        else:
            kept = record["outcome"] == "completed"
            for path in place.glob("checkpoint-*.safetensors" if kept else "*.safetensors"):
                path.unlink(missing_ok=True)

    return tidy
