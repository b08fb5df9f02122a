"""What all tests share."""

from __future__ import annotations

import os

from tests.fakes.ray_niceness import EVEN

os.environ.update(EVEN)
