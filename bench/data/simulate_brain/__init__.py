"""The simulated brain tumours: four MR modalities in BraTS' layout.

`brain_patient` draws whose head it is and what grows in it; `brain_shape` lays out the surface, its
folds and fissures, `deep_structures` ventricles and nuclei, `tumour` the nested regions, all in mm;
`magnetic_contrast` makes the four modalities of them; `brain_writing` puts files on disk. Nothing
in it comes from a real patient.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FIELD_MM = 192.0  # side of the cube that is imaged: voxels are 1 mm at a side of 192


@dataclass(frozen=True, kw_only=True)
class SimulationSize:
    """How much to draw. Satisfies bench.data.opening.Simulation.

    side: voxels along each edge of a volume; the edge is FIELD_MM long, so spacing is
    FIELD_MM / side. The official volumes have 240x240x155 voxels of 1 mm.
    """

    patients: int = 60
    side: int = 48
    seed: int = 0

    def __post_init__(self) -> None:
        if self.patients < 5 or not 16 <= self.side <= 512:
            raise ValueError(
                f"a simulated set needs 5 patients and a side of 16 to 512; "
                f"not {self.patients}, {self.side}"
            )

    @property
    def every(self) -> int:
        """Of volumes all are read."""
        return 1

    def digest(self) -> str:
        """Identifies the files: these settings and the code that draws."""
        digest = hashlib.blake2b(json.dumps(asdict(self)).encode(), digest_size=8)
        for file in sorted(Path(__file__).parent.glob("*.py")):
            digest.update(file.read_bytes())
        return digest.hexdigest()

    def describe(self) -> dict[str, Any]:
        """Name and settings for the record."""
        return {"name": "simulated-brain", **asdict(self)}

    def write(self, root: Path) -> None:
        """Draws and encodes the whole set into the folder `root`."""
        from bench.data.simulate_brain.brain_writing import write_set

        write_set(self, root)
