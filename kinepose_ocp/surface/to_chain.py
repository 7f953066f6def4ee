"""From joint centres and axes to the chain of a person: ``fullbody`` with own lengths and hinge axes.

Angles keep their names, signs, order and ranges. Trunk, shoulder girdle and feet are at zero as the person
stands; the limbs as the bones tell, straight and hanging. Offsets are told in frames of the parts, so that
the rest pose of the chain is the anatomical posture of ``fullbody`` (upright, arms hanging, thumbs forward),
whatever pose the skeleton stands in. Segment frames: ISB (Wu et al. 2002, 2005): thigh and upper arm lie
along their joint centres, and knee and elbow turn about the line through the epicondyles. The ankle keeps the
axes of ``fullbody``: the tips of the malleoli are too close to each other to tell its inclined axis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from scipy.spatial.transform import Rotation

from kinepose_ocp.chain import Chain, Quaternion, Site, Vector
from kinepose_ocp.chain_file import load_chain
from kinepose_ocp.errors import DataError
from kinepose_ocp.surface.joint_geometry import JointGeometry

GENERIC = "fullbody"
SIDES = ("right", "left")
OBLIQUE = np.radians(35)  # a hinge axis or forearm further off than this is not that of a person
LEFT, UP = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])
SOURCE = (
    "Joint centres, hinge axes and landmarks: of the subject, from bones placed inside the surface of the "
    "body (kinepose_ocp.surface); what no bone shows is scaled. Ranges of motion, axes of balls: fullbody. "
)


@dataclass(frozen=True)
class LandmarkPoint:
    """A keypoint at a landmark of a bone.

    joint, centre: of the chain and of the geometry, at which it hangs; part, names: its landmarks in the
    order of preference; size: chain joint whose offset, the segment above, stretches it where there are none.
    """

    joint: str
    centre: str
    part: str
    names: tuple[str, ...]
    size: str


POINTS = {  # those of the skull are in the middle, the others on both sides
    "head": LandmarkPoint("head", "c0", "skull", ("head_top", "vertex"), "head"),
    "nose": LandmarkPoint("head", "c0", "skull", ("nose_tip",), "head"),
    "heel": LandmarkPoint("ankle", "ankle", "foot", ("heel_skin", "heel"), "toes"),
    "toe_big": LandmarkPoint("toes", "mtp", "toes", ("toe_skin", "tip"), "toes"),
    "hand": LandmarkPoint("wrist", "wrist", "hand", ("metacarpal_3",), "wrist"),
    "hand_index": LandmarkPoint("wrist", "wrist", "hand", ("metacarpal_2",), "wrist"),
    "hand_pinky": LandmarkPoint("wrist", "wrist", "hand", ("metacarpal_5",), "wrist"),
}
SCALED_AS = {"eye": "head", "ear": "head", "toe_small": "toe_big", "hand_thumb": "hand"}  # never a landmark


def subject_chain(geometry: JointGeometry, name: str = "subject") -> Chain:
    """Return the chain of a person, with the joints, DOFs, ROMs, keypoints and links of ``fullbody``.

    Parameters
    ----------
    geometry
        Joint centres [m], axes and landmarks in any pose (:func:`joint_geometry.placed_geometry`, or own).
    name
        Of the chain.

    Raises
    ------
    ModelError
        For a joint or part that the geometry does not have.
    DataError
        For hinge axes or segments that cannot be a person's.
    """
    generic = load_chain(GENERIC)
    frames = segment_frames(geometry)
    offsets = _offsets(geometry, frames)
    turned = _orientations(geometry, frames)
    joints = tuple(
        replace(
            joint,
            offset=_vector(offsets.get(joint.name, np.zeros(3))),
            orientation=_quaternion(turned[joint.name]) if joint.name in turned else joint.orientation,
        )
        for joint in generic.joints
    )
    return replace(
        generic,
        name=name,
        description="Chain fullbody with the lengths, hinge axes and keypoints of one subject",
        source=SOURCE + generic.source,
        joints=joints,
        keypoints=MappingProxyType(_keypoints(generic, geometry, frames, offsets)),
    )


def segment_frames(geometry: JointGeometry) -> dict[str, np.ndarray]:
    """Frames (3, 3), columns forward, left, up, of the segment below every chain joint.

    They stand in the geometry's pose. In the anatomical posture all of them are parallel, but for what a
    knee's or an elbow's axis is inclined.
    """
    frames = {
        "pelvis": geometry.frame("pelvis"),
        "lumbar": geometry.frame("lumbar"),
        "thorax": geometry.frame("thorax"),
        "neck": geometry.frame("cspine"),
        "head": geometry.frame("skull"),
    }
    for side in SIDES:
        hip, knee, ankle, shoulder, elbow, wrist = _limb_centres(geometry, side)
        frames |= {
            f"hip_{side}": _along(hip - knee, -geometry.axis(f"hip_{side}")[0]),
            f"knee_{side}": _about(-geometry.axis(f"knee_{side}")[0], knee - ankle),
            f"ankle_{side}": geometry.frame(f"foot_{side}"),
            f"toes_{side}": geometry.frame(f"toes_{side}"),
            f"clavicle_{side}": geometry.frame(f"clavicle_{side}"),
            f"scapula_{side}": geometry.frame(f"scapula_{side}"),
            f"shoulder_{side}": _along(shoulder - elbow, -geometry.axis(f"gh_{side}")[0]),
            f"elbow_{side}": _about(-geometry.axis(f"elbow_{side}")[0], elbow - wrist),
            f"wrist_{side}": _hand_frame(geometry.axis(f"wrist_{side}"), side),
        }
    return frames


def _limb_centres(geometry: JointGeometry, side: str) -> list[np.ndarray]:
    return [geometry.centre(f"{name}_{side}") for name in ("hip", "knee", "ankle", "gh", "elbow", "wrist")]


def _hand_frame(axes: np.ndarray, side: str) -> np.ndarray:
    """Frame of a hand whose thumb points forward: the wrist's axes are told with the palm forward."""
    sign = 1.0 if side == "right" else -1.0
    return np.stack([sign * axes[0], sign * axes[1], axes[2]], axis=1)


def _offsets(geometry: JointGeometry, frames: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Offset (3,) [m] of every chain joint in its parent's frame."""

    def step(frame: str, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        return frames[frame].T @ (end - start)

    middle = (geometry.centre("hip_right") + geometry.centre("hip_left")) / 2
    spine = [middle, *(geometry.centre(name) for name in ("l5s1", "t12l1", "c7t1", "c0"))]
    found = {
        child: step(parent, spine[i], spine[i + 1])
        for i, (parent, child) in enumerate(
            (("pelvis", "lumbar"), ("lumbar", "thorax"), ("thorax", "neck"), ("neck", "head"))
        )
    }
    for side in SIDES:
        hip, knee, ankle, shoulder, elbow, wrist = _limb_centres(geometry, side)
        inner, outer = (geometry.centre(f"{name}_{side}") for name in ("sc", "ac"))
        girdle = step(f"clavicle_{side}", inner, outer) + step(f"scapula_{side}", outer, shoulder)
        found |= {
            f"hip_{side}": step("pelvis", middle, hip),
            f"knee_{side}": step(f"hip_{side}", hip, knee),
            f"ankle_{side}": step(f"knee_{side}", knee, ankle),
            f"toes_{side}": step(f"ankle_{side}", ankle, geometry.centre(f"mtp_{side}")),
            f"clavicle_{side}": step("thorax", spine[2], inner),
            f"shoulder_{side}": girdle,
            f"elbow_{side}": step(f"shoulder_{side}", shoulder, elbow),
            f"wrist_{side}": -UP * np.linalg.norm(elbow - wrist),
        }
    return found


def _orientations(geometry: JointGeometry, frames: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rotation (3, 3) at rest of the joints whose axes are inclined to the segment above.

    Knee and elbow: the flexion axis beside y. Forearm: pronation turns it about its own length, which
    leaves the upper arm's by the carrying angle.
    """
    found = {}
    for side in SIDES:
        for joint, above in (("knee", "hip"), ("elbow", "shoulder")):
            axis = frames[f"{above}_{side}"].T @ -geometry.axis(f"{joint}_{side}")[0]
            found[f"{joint}_{side}"] = _shortest(LEFT, axis, f"flexion axis of the {joint}_{side}")
        elbow, wrist = geometry.centre(f"elbow_{side}"), geometry.centre(f"wrist_{side}")
        length = frames[f"elbow_{side}"].T @ (elbow - wrist)
        found[f"forearm_{side}"] = _shortest(UP, length, f"length of the forearm_{side}")
    return found


# ---- keypoints -----------------------------------------------------------------------------------
def _keypoints(
    generic: Chain,
    geometry: JointGeometry,
    frames: Mapping[str, np.ndarray],
    offsets: Mapping[str, np.ndarray],
) -> dict[str, Site]:
    """Keypoints at the subject's landmarks; those of the trunk between the joints as in ``fullbody``.

    What has no landmark is that of ``fullbody``, stretched as a neighbour's or, without, the segment above.
    """
    sites = dict(generic.keypoints)
    shoulders = [offsets[f"clavicle_{side}"] + offsets[f"shoulder_{side}"] for side in SIDES]
    neck = np.mean(shoulders, axis=0)
    middle = (offsets["lumbar"] + offsets["thorax"] + neck) / 2  # of hips and shoulders
    sites["neck"] = Site("thorax", _vector(neck))
    sites["spine_upper"] = Site("thorax", _vector(neck / 2))
    sites["spine"] = Site("lumbar", _vector(middle - offsets["lumbar"]))
    usual = {joint.name: joint.offset for joint in generic.joints}
    for name, point in POINTS.items():
        for side in ("",) if point.part == "skull" else ("_right", "_left"):
            position = _first(geometry, point.part + side, point.names)
            joint, size = point.joint + side, point.size + side
            if position is not None:
                offset = frames[joint].T @ (position - geometry.centre(point.centre + side))
                sites[name + side] = Site(joint, _vector(offset))
            else:
                stretch = _length(offsets[size]) / _length(usual[size])
                sites[name + side] = _scaled(generic, name + side, stretch)
    for name, like in SCALED_AS.items():
        for side in ("_right", "_left"):
            other = like if like in sites else like + side
            stretch = _length(sites[other].offset) / _length(generic.keypoints[other].offset)
            sites[name + side] = _scaled(generic, name + side, stretch)
    return sites


def _scaled(generic: Chain, point: str, stretch: float) -> Site:
    """Site of a point without landmark: that of the generic chain, stretched."""
    site = generic.keypoints[point]
    return Site(site.joint, _vector(stretch * np.array(site.offset)))


def _first(geometry: JointGeometry, part: str, names: tuple[str, ...]) -> np.ndarray | None:
    """Position (3,) [m] of the first of these landmarks that there is."""
    known = [geometry.landmarks[f"{part}/{name}"] for name in names if f"{part}/{name}" in geometry.landmarks]
    return known[0] if known else None


def _length(offset: Vector | np.ndarray) -> float:
    return float(np.linalg.norm(offset))


# ---- frames --------------------------------------------------------------------------------------
def _along(up: np.ndarray, left: np.ndarray) -> np.ndarray:
    """Frame (3, 3) that keeps ``up``, with ``left`` made perpendicular."""
    up = _unit(up)
    left = _unit(left - up * (up @ left))
    return np.stack([np.cross(left, up), left, up], axis=1)


def _about(left: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Frame (3, 3) that keeps ``left``, with ``up`` made perpendicular."""
    left = _unit(left)
    up = _unit(up - left * (left @ up))
    return np.stack([np.cross(left, up), left, up], axis=1)


def _unit(vector: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vector)
    if length < 1e-9:
        raise DataError("joint geometry: two joint centres or axes coincide, so that a segment has no frame")
    return vector / length


def _shortest(start: np.ndarray, end: np.ndarray, what: str) -> np.ndarray:
    """Rotation (3, 3) by the smallest angle from one unit vector to the direction of another."""
    turn, _ = Rotation.align_vectors(_unit(end), start)
    if turn.magnitude() > OBLIQUE:
        angle, limit = np.degrees([turn.magnitude(), OBLIQUE])
        raise DataError(f"{what} is {angle:.0f} degree oblique; possible: up to {limit:.0f}")
    return turn.as_matrix()


def _vector(values: np.ndarray) -> Vector:
    """Numbers of a chain file, to 0.01 mm."""
    x, y, z = (float(value) for value in np.round(values, 5) + 0.0)
    return (x, y, z)


def _quaternion(matrix: np.ndarray) -> Quaternion:
    x, y, z, w = (float(value) + 0.0 for value in Rotation.from_matrix(matrix).as_quat(canonical=True))
    return (w, x, y, z)
