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


JOINTS = {  # name: parent, child, kind, joint of the body's rig; without the side, which both parts have
    "l5s1": ("pelvis", "lumbar", "ball", "spine04"),
    "t12l1": ("lumbar", "thorax", "ball", "spine02"),
    "c7t1": ("thorax", "cspine", "ball", "neck01"),
    "c0": ("cspine", "skull", "ball", "head"),
    "hip": ("pelvis", "femur", "ball", "upperleg"),
    "knee": ("femur", "tibia", "hinge", "lowerleg"),
    "ankle": ("tibia", "foot", "ball", "foot"),
    "mtp": ("foot", "toes", "hinge", "toe"),
    "sc": ("thorax", "clavicle", "loose", "clavicle"),
    "ac": ("clavicle", "scapula", "loose", None),
    "gh": ("scapula", "humerus", "ball", "upperarm"),
    "elbow": ("humerus", "forearm", "hinge", "lowerarm"),
    "wrist": ("forearm", "hand", "ball", "wrist"),
}
MIDDLE = ("pelvis", "lumbar", "thorax", "cspine", "skull")
BOTH_SIDES = ("hip", "knee", "ankle", "mtp", "sc", "ac", "gh", "elbow", "wrist")
Found = dict[str, tuple[np.ndarray, np.ndarray, str]]  # joint -> centre, axes, how derived


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


def spine_joints(v: Points, f: dict[str, np.ndarray], neck: list[np.ndarray]) -> Found:
    """Middles of the discs, and the middle between the atlas's two joints with the skull."""

    def disc(lower: str, upper: str) -> np.ndarray:
        below = find.endplate(v[lower], f[lower], 1, 0.045 if lower == "sacrum" else 0.032)
        return (below + find.endplate(v[upper], f[upper], -1)) / 2 * [1, 0, 1]

    l5s1, t12l1 = disc("sacrum", "lumbar5"), disc("lumbar1", "thoracic12")
    upper_t1 = find.endplate(v["thoracic1"], f["thoracic1"], 1)
    body_c7 = neck[0][neck[0][:, 0] > neck[0][:, 0].max() - 0.02]
    c7t1 = (upper_t1 + find.tip(body_c7[np.abs(body_c7[:, 1]) < 0.012], -UP, 0.004)) / 2 * [1, 0, 1]
    atlas = neck[-1]
    c0 = find.between(atlas[atlas[:, 1] < -0.005], v["skull"]) * [1, 0, 1]
    words = "middle of the facing endplates of the vertebral bodies of {}; twist axis along the part above"
    ends = {"l5s1": (l5s1, t12l1, "L5 and S1"), "t12l1": (t12l1, c7t1, "T12 and L1")}
    ends["c7t1"] = (c7t1, c0, "C7 (its lower edge) and T1")
    found = {
        name: (centre, axes_about(LATERAL, above - centre, "flexion"), words.format(bones))
        for name, (centre, above, bones) in ends.items()
    }
    words = "middle of the gaps between the atlas and the occipital condyles; axes of the upright head"
    return found | {"c0": (c0, axes_about(LATERAL, UP, "flexion"), words)}


def sphere_words(head: str, radius: float, misfit: float, count: int) -> str:
    """Say how a sphere was fitted."""
    return (
        f"centre of the {head} head: least-squares sphere of radius {radius * 1e3:.1f} mm through {count} "
        f"vertices, misfit {misfit * 1e3:.2f} mm rms"
    )


def leg_joints(v: Points, marks: Points) -> Found:
    """Of the right leg (Wu et al. 2002)."""
    hip, *fit = find.fitted_head(v["femur_right"], UP - LATERAL, 0.023)
    lateral, medial = (marks[f"femur_right/epicondyle_{side}"] for side in ("lateral", "medial"))
    outer, inner = (marks[f"tibia_right/malleolus_{side}"] for side in ("lateral", "medial"))
    first, fifth = (marks[f"foot_right/metatarsal_{number}"] for number in (1, 5))
    knee, ankle, ball = (lateral + medial) / 2, (outer + inner) / 2, (first + fifth) / 2
    return {
        "hip": (
            hip,
            axes_about(lateral - medial, hip - knee, "twist"),
            sphere_words("femoral", *fit) + "; axes of the femur (Wu et al. 2002)",
        ),
        "knee": (
            knee,
            axes_about(lateral - medial, knee - ankle, "flexion"),
            "middle of the femoral epicondyles, flexion axis through them (Wu et al. 2002)",
        ),
        "ankle": (
            ankle,
            axes_about(outer - inner, knee - ankle, "flexion"),
            "middle of the tips of the malleoli, flexion axis through them (Wu et al. 2002)",
        ),
        "mtp": (
            ball,
            axes_about(fifth - first, UP, "flexion"),
            "middle of the first and fifth metatarsophalangeal joints, flexion axis through them",
        ),
    }


def girdle_joints(v: Points, marks: Points) -> Found:
    """Of the right clavicle and scapula (Wu et al. 2005)."""
    sternal = marks["clavicle_right/medial_end"]
    acromial = find.between(v["clavicle_right"], v["scapula_right"])
    names = ("acromion_angle", "spine_root", "inferior_angle")
    angle, root, low = (marks[f"scapula_right/{name}"] for name in names)
    across = unit(angle - root)
    outward = unit(np.cross(low - angle, root - angle))
    outward *= np.sign(outward[0])
    return {
        "sc": (
            sternal,
            axes_about(acromial - sternal, UP, "flexion"),
            "most medial 8 mm of the clavicle; first axis along the clavicle (Wu et al. 2005)",
        ),
        "ac": (
            acromial,
            np.array([across, outward, np.cross(across, outward)]),
            "middle of the closest points of clavicle and acromion; axes of the scapula (Wu et al. 2005)",
        ),
    }


def arm_joints(v: Points, marks: Points) -> Found:
    """Of the right arm (Wu et al. 2005)."""
    upper = find.slab(v["humerus_right"], UP, 0.06)
    shoulder, *fit = find.fitted_head(upper, -LATERAL + 0.8 * UP - 0.4 * FORWARD, 0.023)
    lateral, medial = (marks[f"humerus_right/epicondyle_{side}"] for side in ("lateral", "medial"))
    radial, ulnar = (marks[f"forearm_right/{bone}_styloid"] for bone in ("radial", "ulnar"))
    elbow, wrist = (lateral + medial) / 2, (radial + ulnar) / 2
    return {
        "gh": (
            shoulder,
            axes_about(lateral - medial, shoulder - elbow, "twist"),
            sphere_words("humeral", *fit) + "; axes of the humerus (Wu et al. 2005)",
        ),
        "elbow": (
            elbow,
            axes_about(lateral - medial, elbow - wrist, "flexion"),
            "middle of the humeral epicondyles, flexion axis through them (Wu et al. 2005)",
        ),
        "wrist": (
            wrist,
            axes_about(radial - ulnar, elbow - wrist, "twist"),
            "middle of the radial and ulnar styloids, flexion axis in the plane of both and the forearm",
        ),
    }


# ---- both sides ------------------------------------------------------------------------------------
def mirrored_axes(axes: np.ndarray) -> np.ndarray:
    """Axes of the left side: mirror images, the first turned about so that it points to the right again."""
    return axes * [1, -1, 1] * np.array([[-1.0], [1.0], [1.0]])


def entries(found: Found) -> dict[str, dict]:
    """Entries of ``anatomy.yaml``, parents before children, those of the right side on both sides."""
    complete = {}
    for name, (parent, child, kind, rig) in JOINTS.items():
        centre, axes, source = found[name]
        for side in ("_right", "_left") if name in BOTH_SIDES else ("",):
            left = side == "_left"
            complete[name + side] = {
                "parent": parent if parent in MIDDLE else parent + side,
                "child": child + side,
                "kind": kind,
                "rig_joint": None if rig is None else rig + side,
                "centre": centre * [1, -1, 1] if left else centre,
                "axes": mirrored_axes(axes) if left else axes,
                "source": source,
            }
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
    found = spine_joints(v, f, neck) | leg_joints(v, marks) | girdle_joints(v, marks) | arm_joints(v, marks)
    for name, point in list(marks.items()):
        if "_right" in name:
            marks[name.replace("_right", "_left")] = point * [1, -1, 1]
    return entries(found), marks
