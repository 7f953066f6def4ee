"""Make meshes of people outside the family of the open body: ``python models/surface/build_outside.py``.

Four random bodies of MakeHuman in six poses, for ``studies/surface_accuracy.py --meshes``. The open body has
26 components of their shape and 23 joints; these have all of MakeHuman's shape, and ``anny``'s own 163 joints
pose them by linear blending. The fourth is as heavy as the random bodies of the open body get, and taller and
more muscular than any of them. Needs what ``build.py`` needs. The same sources give the same file.

The file: ``faces`` (F, 3), and by the name of each mesh its vertices (V, 3) [m], x forward, y left, z up.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from build_body import PHENOTYPES, Source, open_source, outer_skin, turned

SEED = 77
EXTREME = {"weight": 1.0, "height": 0.9, "proportions": 0.95, "muscle": 0.95}  # of the last body
BODIES = 4


def both(name: str, x: float, y: float, z: float) -> dict[str, tuple[float, float, float]]:
    """Rotation vector [rad] of a joint of the left side, and its mirror image on the right."""
    return {f"{name}.L": (x, y, z), f"{name}.R": (x, -y, -z)}


POSES = {  # rotation vectors [rad] of anny's joints; x left, y backward, z up
    "stand": both("upperarm01", 0, 0, -0.6),
    "sit": both("upperleg01", -1.48, 0, 0) | both("lowerleg01", 1.48, 0, 0) | both("upperarm01", 0, 0, -0.5),
    "deep squat": both("upperleg01", -1.9, 0, 0.15)
    | both("lowerleg01", 2.1, 0, 0)
    | both("foot", -0.35, 0, 0)
    | both("upperarm01", 0.3, 0, -0.3)
    | {"spine03": (0.3, 0, 0)},
    "crouch": both("upperleg01", -2.1, 0, 0.12)
    | both("lowerleg01", 2.35, 0, 0)
    | both("foot", -0.2, 0, 0)
    | both("upperarm01", 0, 0, -0.5)
    | both("lowerarm01", 0.9, 0, 0)
    | {"spine04": (0.25, 0, 0), "spine03": (0.3, 0, 0), "spine02": (0.25, 0, 0)},
    "arms overhead": both("clavicle", 0, 0, 0.3) | both("upperarm01", 0, 0, 1.2),
    "mid-stride": both("upperarm01", 0, 0, -0.6)
    | {"upperleg01.L": (-0.5, 0, 0), "upperleg01.R": (0.25, 0, 0)}
    | {"lowerleg01.L": (0.25, 0, 0), "lowerleg01.R": (0.7, 0, 0)},
}


def random_phenotypes() -> list[dict[str, float]]:
    """Return bodies on anny's scales, uniform within the bounds of the open body; the last is extreme."""
    random = np.random.default_rng(SEED)
    bodies = [{name: random.uniform(*bounds) for name, bounds in PHENOTYPES.items()} for _ in range(BODIES)]
    return [*bodies[:-1], bodies[-1] | EXTREME]


def posed(source: Source, phenotype: dict[str, float], pose: dict) -> np.ndarray:
    """Vertices (V, 3) [m] of a body in a pose, x forward, y left, z up."""
    model = source.model
    numbers = source.at_rest(phenotype)
    places = {
        joint: (key, place)
        for key, joints in model.pose_joint_indices.items()
        for place, joint in enumerate(joints)
    }
    for name, turn in pose.items():
        key, place = places[source.joints.index(name)]
        numbers[key][0, place] = turn
    return turned(np.asarray(model.forward_vertices(**numbers), dtype=float)[0])


def main(path: Path) -> None:
    """Write all bodies in all poses."""
    source = open_source()
    skin = outer_skin(source)
    meshes = {
        f"body {number}, {name}": skin.of(posed(source, phenotype, pose)).astype("f4")
        for number, phenotype in enumerate(random_phenotypes(), start=1)
        for name, pose in POSES.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, faces=skin.faces.astype("i4"), **meshes)
    print(f"written: {path}, {len(meshes)} meshes of {len(skin.faces)} faces")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("out/outside.npz"))
    main(parser.parse_args().output)
