"""Left and right: how names of parts, joints and landmarks tell them, and what mirrors one to the other."""

from __future__ import annotations

import numpy as np

FLIP = np.diag([1.0, -1.0, 1.0])  # mirror plane between left and right
OTHER = {"left": "right", "right": "left", "": ""}


def stem_and_side(name: str) -> tuple[str, str]:
    """Split ``upperarm_left`` into ``upperarm`` and ``left``; the side of other names is empty."""
    stem, _, side = name.rpartition("_")
    return (stem, side) if side in ("left", "right") else (name, "")


def stem_of(name: str) -> str:
    """Return a name without its side."""
    return stem_and_side(name)[0]


def sided(stem: str, side: str) -> str:
    """Return the name of a stem on a side; without a side, the stem itself."""
    return f"{stem}_{side}" if side else stem


def twin(name: str) -> str:
    """Return the name on the other side; that of the middle stays."""
    stem, side = stem_and_side(name)
    return sided(stem, OTHER[side])
