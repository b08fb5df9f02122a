"""The simulated chest radiographs: frontal views in CheXpert's layout.

`patient` draws who is examined and `findings` what is wrong with them; `torso`, `lungs`, `bones`
and `devices` lay out thickness and attenuation in centimetres; `exposure` makes a radiograph of
them; `chest_writing` puts pictures and listings on disk. Nothing in it comes from a real patient.
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

    views: frontal radiographs of each patient, each from a study of its own: the same body, placed
    and exposed anew, with findings and devices that may have changed. side: pixels; the official
    small set has 320 to 390.
    """

    patients: int = 300
    views: int = 2
    side: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        if self.patients < 5 or self.views < 1 or self.side < 16:
            raise ValueError(
                f"a simulated set needs 5 patients, 1 view, a side of 16 or more; "
                f"not {self.patients}, {self.views}, {self.side}"
            )

    @property
    def every(self) -> int:
        """Of still images all are read."""
        return 1

    def digest(self) -> str:
        """Identifies the files: these settings and the code that draws."""
        digest = hashlib.blake2b(json.dumps(asdict(self)).encode(), digest_size=8)
        for file in sorted(Path(__file__).parent.glob("*.py")):
            digest.update(file.read_bytes())
        return digest.hexdigest()

    def describe(self) -> dict[str, Any]:
        """Name and settings for the record."""
        return {"name": "simulated-chest", **asdict(self)}

    def write(self, root: Path) -> None:
        """Draws and encodes the whole set into the folder `root`."""
        from bench.data.simulate_chest.chest_writing import write_set

        write_set(self, root)
