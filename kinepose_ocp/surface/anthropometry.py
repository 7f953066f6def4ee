"""Are the segments of a skeleton as long as people's? Shares of the stature against published ones.

The sources (:mod:`kinepose_ocp.surface.published_shares`) differ from each other by more than 5 % in some
segments (upper arm, thigh of women, foot), so a segment counts as far off when it lies outside all of them.
All of them measured adults: children have larger heads and other limbs, so that what deviates in a child
need not be wrong.

De Leva's wrist lies 1.5 to 2.4 mm beyond the tip of the radial styloid (his table 2), the joint of the
skeleton half-way between the styloids, 4 to 6 mm before that tip; forearm and hand are measured to his.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kinepose_ocp.errors import DataError
from kinepose_ocp.surface.joint_geometry import JointGeometry
from kinepose_ocp.surface.published_shares import PUBLISHED

LIMIT = 5.0  # percent of the nearest published length
SIDES = ("right", "left")
BEYOND_STYLOID = 0.002  # m: de Leva's wrist joint centre beyond the tip of the radial styloid
WRIST = "wrist as published"
ENDS = {  # joints, or landmarks "part/name" in the order of preference; one list an end
    "thigh (hip - knee)": (["hip"], ["knee"]),
    "shank (knee - ankle)": (["knee"], ["ankle"]),
    "foot (heel - toe tip)": (["foot/heel_skin", "foot/heel"], ["toes/toe_skin", "toes/tip"]),
    "upper arm (shoulder - elbow)": (["gh"], ["elbow"]),
    "forearm (elbow - wrist)": (["elbow"], [WRIST, "wrist"]),
    "hand (wrist - third knuckle)": ([WRIST, "wrist"], ["hand/metacarpal_3"]),
}


@dataclass(frozen=True)
class Proportion:
    """One segment: length [m], share of the stature [1] (mean of both sides), published shares by source."""

    segment: str
    length: float
    share: float
    published: Mapping[str, float]

    @property
    def deviations(self) -> dict[str, float]:
        """By how much it is longer than each source says [percent of the published length]."""
        return {source: 100 * (self.share / share - 1) for source, share in self.published.items()}

    @property
    def outside(self) -> float:
        """By how much it is longer (or, negative, shorter) than all sources [percent of the nearest]."""
        below, above = min(self.deviations.values()), max(self.deviations.values())
        return below if below > 0 else min(above, 0.0)


def proportions(geometry: JointGeometry, stature: float) -> tuple[Proportion, ...]:
    """Compare the segments of a person of some stature [m] with published ones.

    The geometry must stand upright: trunk and head are measured along the vertical, as the sources do. A
    segment whose landmarks are not known is left out.

    Raises
    ------
    DataError
        For a stature that is not positive.
    """
    if not (np.isfinite(stature) and stature > 0):
        raise DataError(f"a stature must be a positive number [m], found {stature}")
    lengths = {segment: _of_both_sides(geometry, *ends) for segment, ends in ENDS.items()}
    hips, shoulders = _middle(geometry, "hip"), _middle(geometry, "gh")
    lengths["trunk (middle of hips - of shoulders)"] = float(shoulders[2] - hips[2])
    top, c7 = (
        _first(geometry.landmarks.get(name) for name in names)
        for names in (["skull/head_top", "skull/vertex"], ["cspine/c7_skin", "cspine/c7"])
    )
    if top is not None and c7 is not None:
        lengths["head and neck (C7 - top of the head)"] = float(top[2] - c7[2])
    return tuple(
        Proportion(segment, length, length / stature, published)
        for segment, published in PUBLISHED.items()
        if (length := lengths.get(segment)) is not None
    )


def warnings(found: Sequence[Proportion]) -> list[str]:
    """One line for every segment that is more than 5 % longer or shorter than all published ones."""
    return [
        f"{one.segment}: {100 * one.share:.1f} % of the stature, {abs(one.outside):.0f} % "
        f"{'longer' if one.outside > 0 else 'shorter'} than published of adults ({_range(one)})"
        for one in found
        if abs(one.outside) > LIMIT
    ]


def _range(one: Proportion) -> str:
    low, high = min(one.published.values()), max(one.published.values())
    return f"{100 * low:.1f} to {100 * high:.1f} %"


def _of_both_sides(geometry: JointGeometry, starts: list[str], ends: list[str]) -> float | None:
    found = []
    for side in SIDES:
        start, end = (_first(_place(geometry, name, side) for name in names) for names in (starts, ends))
        if start is not None and end is not None:
            found.append(float(np.linalg.norm(end - start)))
    return float(np.mean(found)) if found else None


def _place(geometry: JointGeometry, name: str, side: str) -> np.ndarray | None:
    """Where a joint or landmark of a side is (3,) [m], or None for a landmark that is not known."""
    if name == WRIST:
        return _published_wrist(geometry, side)
    part, slash, rest = name.partition("/")
    own = f"{part}_{side}{slash}{rest}"
    return geometry.landmarks.get(own) if slash else geometry.centre(own)


def _published_wrist(geometry: JointGeometry, side: str) -> np.ndarray | None:
    """Point (3,) [m] of the forearm's axis beyond the tip of the radial styloid, if that is known."""
    styloid = geometry.landmarks.get(f"forearm_{side}/radial_styloid")
    if styloid is None:
        return None
    elbow, wrist = geometry.centre(f"elbow_{side}"), geometry.centre(f"wrist_{side}")
    along = (wrist - elbow) / np.linalg.norm(wrist - elbow)
    return wrist + ((styloid - wrist) @ along + BEYOND_STYLOID) * along


def _first(places: Iterable[np.ndarray | None]) -> np.ndarray | None:
    """Return the first of these places that is known."""
    return next((place for place in places if place is not None), None)


def _middle(geometry: JointGeometry, joint: str) -> np.ndarray:
    return (geometry.centre(f"{joint}_right") + geometry.centre(f"{joint}_left")) / 2
