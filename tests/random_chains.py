"""Seeded random chains, numbers to feed them with, and plain expressions of what they cost.

The plain expressions leave derivatives and windows to CasADi: an oracle for the closed-form ones.
"""

import math
from dataclasses import dataclass

import casadi as ca
import numpy as np

from kinepose_ocp.chain import Chain, Dof, Joint, Link, Site
from kinepose_ocp.kinematics import Geometry, forward_kinematics, geometry_values
from kinepose_ocp.terms import Frame

COORDINATE_AXES = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (-1.0, 0.0, 0.0), (0.0, 0.0, -1.0)]


# ---- chains ------------------------------------------------------------------------------------------
def random_chain(seed: int, joints: int = 6) -> Chain:
    """Any tree, any axes, any rest orientations; translations anywhere, some DOFs locked off zero."""
    rng = np.random.default_rng(seed)
    made = [_root(rng)]
    for i in range(1, joints):
        offset = tuple(float(v) for v in rng.normal(0, 0.2, 3) * (rng.random(3) < 0.7))
        dofs = tuple(_dof(rng, f"d{k}") for k in range(rng.integers(0, 4)))
        made.append(Joint(f"joint{i}", f"joint{rng.integers(0, i)}", offset, _orientation(rng), dofs))
    sites = {f"centre{i}": Site(f"joint{i}") for i in range(joints)}
    for i in range(joints):
        sites[f"beside{i}"] = Site(f"joint{i}", tuple(float(v) for v in rng.normal(0, 0.1, 3)))
    names = list(sites)
    links = []
    for _ in range(joints):
        start, end = rng.choice(len(names), 2, replace=False)
        links.append(Link(names[start], names[end], float(rng.uniform(0.5, 2))))
    return Chain(f"random{seed}", "random numbers", tuple(made), sites, tuple(links))


def _root(rng: np.random.Generator) -> Joint:
    """A root with at least one translation and two rotations, in any order."""
    kinds = rng.permutation([True, False, False, bool(rng.random() < 0.5)])
    dofs = tuple(Dof(f"d{i}", _axis(rng), translates=bool(kind)) for i, kind in enumerate(kinds))
    return Joint("joint0", None, (0.1, 0.0, -0.3), _orientation(rng), dofs)


def _dof(rng: np.random.Generator, name: str) -> Dof:
    locked = bool(rng.random() < 0.25)
    rest = float(rng.uniform(-0.5, 0.5)) if locked else 0.0
    lower, upper = (-1.0, 1.5) if rng.random() < 0.7 else (-math.inf, math.inf)
    return Dof(name, _axis(rng), bool(rng.random() < 0.25), lower, upper, locked, rest)


def _axis(rng: np.random.Generator) -> tuple[float, float, float]:
    if rng.random() < 0.4:
        return COORDINATE_AXES[rng.integers(len(COORDINATE_AXES))]
    x, y, z = random_directions(rng, 1)[0]
    return float(x), float(y), float(z)


def _orientation(rng: np.random.Generator) -> tuple[float, float, float, float]:
    if rng.random() < 0.4:
        return (1.0, 0.0, 0.0, 0.0)
    w, x, y, z = (value := rng.normal(size=4)) / np.linalg.norm(value)
    return float(w), float(x), float(y), float(z)


def random_directions(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, 3) unit vectors."""
    vectors = rng.normal(size=(count, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


# ---- numbers -----------------------------------------------------------------------------------------
def random_coordinates(chain: Chain, rng: np.random.Generator, frames: int) -> np.ndarray:
    """(T, n) coordinates [rad or m]."""
    return rng.uniform(-1, 1, (frames, len(chain.free_dofs)))


def random_data(measured: int, rng: np.random.Generator, frames: int) -> np.ndarray:
    """(T, 5K) measured positions [m], confidences (some are 0), and where points appear."""
    position = rng.normal(0, 0.4, (frames, 3 * measured))
    confidence = rng.uniform(0.2, 1, (frames, measured)) * (rng.random((frames, measured)) < 0.9)
    appears = rng.random((frames, measured)) < 0.3
    return np.concatenate([position, confidence, appears], axis=1)


# ---- plain expressions -------------------------------------------------------------------------------
def plain_frame(chain: Chain, measured: tuple[str, ...], q: ca.SX, data: np.ndarray, step: float) -> Frame:
    """What a term sees of one frame, as an expression of its coordinates alone."""
    parts = dict(zip(chain.free_dofs, ca.vertsplit(q), strict=True))
    moves = [dof.translates for dof in chain.free_dofs.values()]
    pose = forward_kinematics(chain, parts, Geometry.of(chain, ca.SX(ca.DM(geometry_values(chain)))))
    observed = {name: ca.SX(ca.DM(data[3 * i : 3 * i + 3])) for i, name in enumerate(measured)}
    links = tuple(link for link in chain.links if link.start in measured and link.end in measured)
    cosine = {}
    for link in links:
        model = ca.densify(pose.keypoint_position[link.end] - pose.keypoint_position[link.start])
        seen = observed[link.end] - observed[link.start]
        cosine[link] = ca.dot(model, seen) / (ca.norm_2(model) * ca.norm_2(seen))
    return Frame(
        joint_angle=ca.vertcat(*[v for v, move in zip(parts.values(), moves, strict=True) if not move]),
        translation=ca.vertcat(*[v for v, move in zip(parts.values(), moves, strict=True) if move]),
        coordinate=parts,
        pose=pose,
        observed=observed,
        confidence={name: ca.SX(data[3 * len(measured) + i]) for i, name in enumerate(measured)},
        appears={name: ca.SX(data[4 * len(measured) + i]) for i, name in enumerate(measured)},
        step=ca.SX(step),
        links=links,
        link_cosine=cosine,
    )


def plain_frames(chain: Chain, measured: tuple[str, ...], data: np.ndarray, steps: np.ndarray):
    """Coordinates of all frames as one symbol, and the frames."""
    frames, size = len(data), len(chain.free_dofs)
    x = ca.SX.sym("x", size * frames)
    parts = zip(ca.vertsplit(x, size), data, [*steps, math.nan], strict=True)
    return x, [plain_frame(chain, measured, q, numbers, step) for q, numbers, step in parts]


# ---- kernels in numbers ------------------------------------------------------------------------------
@dataclass(frozen=True)
class WindowNumbers:
    """What one window costs: (terms,) costs, (n,) gradient, (n, n) Hessians with both triangles."""

    cost: np.ndarray
    gradient: np.ndarray
    hessian: np.ndarray
    gauss_newton: np.ndarray


def window_numbers(kernels, kernel, q, data, steps, shared) -> WindowNumbers:
    """Evaluate a kernel for one window: q (span, n), data (span, d), steps (span - 1,) [s]."""
    given = (q.ravel(), data.ravel(), steps if len(steps) else [1.0], shared)
    cost, gradient = kernel.gradient(*given)
    dense = [_dense(kernels, kernel, function(*given)) for function in (kernel.hessian, kernel.gauss_newton)]
    return WindowNumbers(np.array(cost).ravel(), np.array(gradient).ravel(), *dense)


def _dense(kernels, kernel, outputs) -> np.ndarray:
    outputs = outputs if isinstance(outputs, (tuple, list)) else [outputs]
    size = kernels.size
    upper = np.zeros((size * kernel.span, size * kernel.span))
    for block, output in zip(kernel.blocks, outputs, strict=True):
        rows, columns = (np.array(part, dtype=int) for part in block.pattern.get_triplet())
        corner = block.first * size, (block.first + block.lag) * size
        upper[corner[0] + rows, corner[1] + columns] = np.array(output).ravel()
    return upper + np.triu(upper, 1).T
