"""The simulated echocardiogram set: apical four-chamber clips in EchoNet-Dynamic's layout.

`heart` draws a patient's anatomy and motion, `scanner` turns them into ultrasound, `writing` puts
clips, FileList.csv and VolumeTracings.csv on disk. Nothing in it comes from a real patient.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class SimulationSize:
    """How much to draw. Satisfies bench.data.opening.Simulation.

    fps / every is the rate of the frames that are read: 10 a second, as one in five of EchoNet's
    50. Clips are drawn at that rate already: a frame that nobody reads costs as much as one that
    is. frames should cover a beat (at most 1.1 s), so that end-systole is in the clip.
    """

    patients: int = 160
    frames: int = 24
    fps: int = 10
    every: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.patients < 3 or self.frames < 2 or self.fps < 1 or self.every < 1:
            raise ValueError(
                f"a simulated set needs 3 patients, 2 frames, 1 frame a second, every 1 or more; "
                f"not {self.patients}, {self.frames}, {self.fps}, {self.every}"
            )

    def digest(self) -> str:
        """Identifies the files: these settings and the code that draws."""
        digest = hashlib.blake2b(json.dumps(asdict(self)).encode(), digest_size=8)
        for file in sorted(Path(__file__).parent.glob("*.py")):
            digest.update(file.read_bytes())
        return digest.hexdigest()

    def describe(self) -> dict[str, Any]:
        """Name and settings for the record."""
        return {"name": "simulated-echo", **asdict(self)}

    def write(self, root: Path) -> None:
        """Draws and encodes the whole set into the folder `root`."""
        from bench.data.simulate_echo.writing import write_set

        write_set(self, root)
