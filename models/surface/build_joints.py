"""Joint centres, joint axes and bony landmarks of the open bones, derived from their geometry alone.

Centres and axes of the package's own joints are not used. Axes: after Wu et al. (2002, 2005; the ISB's
recommendations) where these define them. Found on the right side and mirrored to the left.
World: metres, x forward, y left, z up.
"""

from __future__ import annotations

import bone_landmarks as find
import numpy as np
from bone_landmarks import FORWARD, LATERAL, UP, Points
from build_bones import SourceBone, pieces

VERTEBRA_VERTICES = 100  # pieces of the neck's mesh with fewer are discs


def unit(vector: np.ndarray) -> np.ndarray:
    """Vector of length one."""
    return vector / np.linalg.norm(vector)


def axes_about(flexion: np.ndarray, twist: np.ndarray, exact: str) -> np.ndarray:
    """Orthonormal rows flexion (to the right), abduction (forward), twist (up); one axis is kept exactly."""
    if exact == "flexion":
        flexion = unit(flexion)
        twist = unit(twist - (twist @ flexion) * flexion)
    else:
        twist = unit(twist)
        flexion = unit(flexion - (flexion @ twist) * twist)
    return np.array([flexion, np.cross(twist, flexion), twist])


class Joints:
    """Joints as they are found: name -> entry of ``anatomy.yaml``."""

    def __init__(self) -> None:
        self.found: dict[str, dict] = {}

    def add(self, name: str, between: tuple[str, str], centre: np.ndarray, axes: np.ndarray, **words: str) -> None:
        parent, child = between
        entry = {"parent": parent, "child": child, "centre": centre, "axes": axes}
        self.found[name] = entry | words


def split_bones(bones: list[SourceBone]) -> tuple[Points, dict[str, np.ndarray], list[tuple]]:
    """Vertices and faces by name, with the pieces needed here on their own; vertebrae of the neck upwards."""
    vertices = {bone.name: bone.vertices for bone in bones}
    faces = {bone.name: bone.faces for bone in bones}
    number = pieces(faces["ribcage"], len(vertices["ribcage"]))
    vertices["sternum"] = vertices["ribcage"][number == np.bincount(number).argmax()]
    foot = vertices["foot_bones_right"]
    number = pieces(faces["foot_bones_right"], len(foot))
    vertices["metatarsal_1"] = foot[number == number[np.argmax(foot @ (FORWARD - LATERAL))]]
    vertices["metatarsal_5"] = foot[number == number[np.argmax(foot @ LATERAL)]]
    neck = vertices["cervical"]
    number = pieces(faces["cervical"], len(neck))
    sizes = np.bincount(number)
    vertebrae = [neck[number == each] for each in np.flatnonzero(sizes > VERTEBRA_VERTICES)]
    return vertices, faces, sorted(vertebrae, key=lambda each: each[:, 2].mean())


def spine_joints(joints: Joints, v: Points, f: dict[str, np.ndarray], neck: list[np.ndarray]) -> None:
    """Middles of the discs, and the middle between the atlas's two joints with the skull."""

    def disc(lower: str, upper: str) -> np.ndarray:
        below = find.endplate(v[lower], f[lower], 1, 0.045 if lower == "sacrum" else 0.032)
        return (below + find.endplate(v[upper], f[upper], -1)) / 2 * [1, 0, 1]

    l5s1, t12l1 = disc("sacrum", "lumbar5"), disc("lumbar1", "thoracic12")
    upper_t1 = find.endplate(v["thoracic1"], f["thoracic1"], 1)
    body_c7 = neck[0][neck[0][:, 0] > neck[0][:, 0].max() - 0.02]
    c7t1 = (upper_t1 + find.tip(body_c7[np.abs(body_c7[:, 1]) < 0.012], -UP, 0.004)) / 2 * [1, 0, 1]
    atlas, skull = neck[-1], v["skull"]
    c0 = find.between(atlas[atlas[:, 1] < -0.005], skull) * [1, 0, 1]
    disc_words = "middle of the facing endplates of the vertebral bodies of {}; twist axis along the part above"
    for name, parts, centre, above, rig, bones in (
        ("l5s1", ("pelvis", "lumbar"), l5s1, t12l1, "spine04", "L5 and the sacrum"),
        ("t12l1", ("lumbar", "thorax"), t12l1, c7t1, "spine02", "T12 and L1"),
        ("c7t1", ("thorax", "cspine"), c7t1, c0, "neck01", "C7 (lower edge) and T1"),
    ):
        axes = axes_about(LATERAL, above - centre, "flexion")
        joints.add(name, parts, centre, axes, kind="ball", rig_joint=rig, source=disc_words.format(bones))
    words = "middle of the two gaps between atlas and occipital condyles; axes of the upright head"
    upright = axes_about(LATERAL, UP, "flexion")
    joints.add("c0", ("cspine", "skull"), c0, upright, kind="ball", rig_joint="head", source=words)


def leg_joints(joints: Joints, v: Points, marks: Points) -> None:
    """Of the right leg."""
    hip, radius, misfit, count = find.fitted_head(v["femur_right"], UP - LATERAL, 0.023)
    lateral, medial = (marks[f"femur_right/epicondyle_{side}"] for side in ("lateral", "medial"))
    knee = (lateral + medial) / 2
    malleoli = [marks[f"tibia_right/malleolus_{side}"] for side in ("lateral", "medial")]
    ankle = (malleoli[0] + malleoli[1]) / 2
    first, fifth = (marks[f"foot_right/metatarsal_{number}"] for number in (1, 5))
    words = (
        f"centre of the femoral head: least-squares sphere of radius {radius * 1e3:.1f} mm through {count} "
        f"vertices (misfit {misfit * 1e3:.2f} mm rms); axes of the femur after Wu et al. 2002"
    )
    thigh = axes_about(lateral - medial, hip - knee, "twist")
    joints.add("hip_right", ("pelvis", "femur_right"), hip, thigh, kind="ball", rig_joint="upperleg_right", source=words)
    words = "middle of the femoral epicondyles, flexion axis through them (Wu et al. 2002)"
    shank = axes_about(lateral - medial, knee - ankle, "flexion")
    joints.add("knee_right", ("femur_right", "tibia_right"), knee, shank, kind="hinge", rig_joint="lowerleg_right", source=words)
    words = "middle of the tips of the malleoli, flexion axis through them (Wu et al. 2002)"
    talar = axes_about(malleoli[0] - malleoli[1], knee - ankle, "flexion")
    joints.add("ankle_right", ("tibia_right", "foot_right"), ankle, talar, kind="ball", rig_joint="foot_right", source=words)
    words = "middle of the first and fifth metatarsophalangeal joints, flexion axis through them"
    ball = axes_about(fifth - first, UP, "flexion")
    joints.add("mtp_right", ("foot_right", "toes_right"), (first + fifth) / 2, ball, kind="hinge", rig_joint="toe_right", source=words)


def arm_joints(joints: Joints, v: Points, marks: Points) -> None:
    """Of the right shoulder girdle and arm (Wu et al. 2005)."""
    sternal, acromial = marks["clavicle_right/medial_end"], find.between(v["clavicle_right"], v["scapula_right"])
    girdle = axes_about(acromial - sternal, UP, "flexion")
    words = "end of the clavicle at the sternum (its most medial 8 mm); first axis along the clavicle (Wu et al. 2005)"
    joints.add("sc_right", ("thorax", "clavicle_right"), sternal, girdle, kind="loose", rig_joint="clavicle_right", source=words)
    angle, root, low = (marks[f"scapula_right/{name}"] for name in ("acromion_angle", "spine_root", "inferior_angle"))
    across = unit(angle - root)
    outward = unit(np.cross(low - angle, root - angle))
    outward *= np.sign(outward[0])
    blade = np.array([across, outward, np.cross(across, outward)])
    words = "middle of the closest points of clavicle and acromion; axes of the scapula (Wu et al. 2005)"
    joints.add("ac_right", ("clavicle_right", "scapula_right"), acromial, blade, kind="loose", rig_joint="", source=words)
    upper = find.slab(v["humerus_right"], UP, 0.06)
    shoulder, radius, misfit, count = find.fitted_head(upper, -LATERAL + 0.8 * UP - 0.4 * FORWARD, 0.023)
    lateral, medial = (marks[f"humerus_right/epicondyle_{side}"] for side in ("lateral", "medial"))
    elbow = (lateral + medial) / 2
    words = (
        f"centre of the humeral head: least-squares sphere of radius {radius * 1e3:.1f} mm through {count} "
        f"vertices (misfit {misfit * 1e3:.2f} mm rms); axes of the humerus after Wu et al. 2005"
    )
    arm = axes_about(lateral - medial, shoulder - elbow, "twist")
    joints.add("gh_right", ("scapula_right", "humerus_right"), shoulder, arm, kind="ball", rig_joint="upperarm_right", source=words)
    styloids = [marks[f"forearm_right/{bone}_styloid"] for bone in ("radial", "ulnar")]
    wrist = (styloids[0] + styloids[1]) / 2
    words = "middle of the humeral epicondyles, flexion axis through them (Wu et al. 2005)"
    bend = axes_about(lateral - medial, elbow - wrist, "flexion")
    joints.add("elbow_right", ("humerus_right", "forearm_right"), elbow, bend, kind="hinge", rig_joint="lowerarm_right", source=words)
    words = "middle of the radial and ulnar styloids; twist axis along the forearm, flexion axis in the plane of both"
    palm = axes_about(styloids[0] - styloids[1], elbow - wrist, "twist")
    joints.add("wrist_right", ("forearm_right", "hand_right"), wrist, palm, kind="ball", rig_joint="wrist_right", source=words)


def mirrored_axes(axes: np.ndarray) -> np.ndarray:
    """Axes of the left side: mirror images, the first turned about so that it points to the right again."""
    return axes * [1, -1, 1] * np.array([[-1.0], [1.0], [1.0]])


def both_sides(entries: dict[str, dict]) -> dict[str, dict]:
    """Joints of the right side and their mirror images."""
    complete = {}
    for name, entry in entries.items():
        complete[name] = entry
        if name.endswith("_right"):
            text = {k: v.replace("_right", "_left") for k, v in entry.items() if isinstance(v, str)}
            placed = {"centre": entry["centre"] * [1, -1, 1], "axes": mirrored_axes(entry["axes"])}
            complete[name.replace("_right", "_left")] = entry | text | placed
    return complete


def landmarks(v: Points, neck: list[np.ndarray]) -> Points:
    """All bony landmarks of middle and right side: 'part/name' -> position."""
    limbs = find.leg_landmarks(v) | find.arm_landmarks(v)
    found = {name.replace("/", "_right/", 1): point for name, point in limbs.items()}
    pelvis = find.pelvis_landmarks(v["pelvis_right"], v["sacrum"])
    middle = ("sacral_promontory",)
    found |= {f"pelvis/{n}" + ("" if n in middle else "_right"): point for n, point in pelvis.items()}
    return found | find.trunk_landmarks(v, v["sternum"], neck)


def build_anatomy(bones: list[SourceBone]) -> tuple[dict[str, dict], Points]:
    """Return the joints and the bony landmarks of both sides."""
    v, f, neck = split_bones(bones)
    marks = landmarks(v, neck)
    joints = Joints()
    spine_joints(joints, v, f, neck)
    leg_joints(joints, v, marks)
    arm_joints(joints, v, marks)
    for name, point in list(marks.items()):
        if "_right" in name:
            marks[name.replace("_right", "_left")] = point * [1, -1, 1]
    return both_sides(joints.found), marks
