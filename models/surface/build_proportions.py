"""Lengths of segments as published, for the labelled people: the smallest changes that draw each to a zone.

The zone of a segment holds the published shares of the stature, and a little more on both sides: for adults
those of their sex, for children those of all adults, since none are of children. Head and neck of children
and everyone's stature stay as they are. Segments are those of the rig and between landmarks of the skin, each
times how much longer it is in the skeleton that ``kinepose_ocp`` places.
"""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import numpy as np
from build_measures import MEASURES, MOST, Amounts
from scipy.optimize import least_squares

PUBLISHED = runpy.run_path(
    str(Path(__file__).resolve().parents[2] / "kinepose_ocp/surface/published_shares.py")
)["PUBLISHED"]
NOT_OF = {"men": (", women",), "women": (", men",), "children": ()}  # ends of the names of sources
MARGIN = 0.02  # of the published length, on both sides
PLACED = {  # length in the skeleton over that of rig or skin; mean of 12 people, which differ by 1 to 3 %
    "thigh": 1.011,
    "shank": 1.012,
    "foot": 1.0,
    "upper arm": 1.070,
    "forearm": 1.032,
    "hand": 0.456,
    "trunk": 1.044,
    "head and neck": 1.0,
}
STRICTNESS = {"zone": 0.005, "stature": 0.0002, "amounts": 1.0}  # relative, m, of a whole target
Points = dict[str, np.ndarray]


def segments(joints: Points, marks: Points) -> dict[str, float]:
    """Lengths [m] of the left side of a standing body, from anny's joints and the skin's landmarks."""

    def far(first: np.ndarray, second: np.ndarray) -> float:
        return float(np.linalg.norm(first - second))

    hip, knee, ankle = (joints[f"{name}.L"] for name in ("upperleg01", "lowerleg01", "foot"))
    shoulder, elbow, wrist = (joints[f"{name}.L"] for name in ("upperarm01", "lowerarm01", "wrist"))
    return {
        "thigh": far(hip, knee),
        "shank": far(knee, ankle),
        "foot": far(marks["heel_left"], marks["toe_tip_left"]),
        "upper arm": far(shoulder, elbow),
        "forearm": far(elbow, wrist),
        "hand": far(wrist, marks["dactylion_left"]),
        "trunk": float(shoulder[2] - hip[2]),
        "head and neck": float(marks["head_top"][2] - marks["c7"][2]),
    }


def zones(group: str) -> dict[str, tuple[float, float]]:
    """Least and largest share of the stature by segment, for men, women or children."""
    found = {}
    for segment, sources in PUBLISHED.items():
        own = [share for source, share in sources.items() if not source.endswith(NOT_OF[group])]
        found[segment.partition(" (")[0]] = (min(own) * (1 - MARGIN), max(own) * (1 + MARGIN))
    if group == "children":
        del found["head and neck"]
    return found


def drawn(body: Callable[[Amounts], tuple[np.ndarray, Points, Points]], group: str) -> Amounts:
    """Return the amounts of the measures that draw someone's segments into the zones of a group.

    ``body`` gives skin (V, 3), joints and landmarks of someone whose measures change by amounts.
    """
    wanted = zones(group)
    free = [name for name in MEASURES if name != "neck" or group != "children"]
    stature = np.ptp(body({})[0][:, 2])

    def residuals(values: np.ndarray) -> np.ndarray:
        skin, joints, marks = body(dict(zip(free, values, strict=True)))
        lengths = segments(joints, marks)
        outside = []
        for name, (least, most) in wanted.items():
            share = lengths[name] * PLACED[name] / stature
            outside.append((min(share / least, 1.0) + max(share / most, 1.0) - 2) / STRICTNESS["zone"])
        taller = (np.ptp(skin[:, 2]) - stature) / STRICTNESS["stature"]
        return np.array([*outside, taller, *values / STRICTNESS["amounts"]])

    most = np.array([MOST[name] for name in free])
    found = least_squares(residuals, np.zeros(len(free)), bounds=(-most, most))
    return dict(zip(free, found.x.tolist(), strict=True))
