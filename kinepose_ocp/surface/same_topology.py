"""Direct fit of a body to a mesh of the body's own vertices and faces: no correspondence to search."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from kinepose_ocp.surface.body import LinearBody
from kinepose_ocp.surface.body_fit import BodyFit, BodyState, NormalEquations
from kinepose_ocp.surface.mesh import Mesh
from kinepose_ocp.surface.skin_parts import nearest_rotation

VERTEX_STD = 0.001  # m
POSE_STD = 10.0  # rad: no prior but for what the vertices do not tell
ITERATIONS = 30
NEAR = 0.001  # m: derivatives serve until the vertices have moved by as much
SETTLED = 1e-6  # rad, m and standard deviations


def same_topology(mesh: Mesh, body: LinearBody) -> bool:
    """Whether a mesh has the body's own vertices and faces, in their order."""
    return len(mesh.vertices) == len(body.template) and np.array_equal(mesh.faces, body.faces)


def joint_turns(vertices: np.ndarray, body: LinearBody) -> np.ndarray:
    """Global rotations (K, 3, 3) that best turn the template's skin of every joint to vertices (V, 3).

    By least squares, weighted by the skinning weights (Kabsch 1976).
    """
    shares = body.weights / np.maximum(body.weights.sum(0), 1e-12)  # a joint may have no skin
    before, after = shares.T @ body.template, shares.T @ vertices
    products = vertices[:, :, None] * body.template[:, None]
    moments = (shares.T @ products.reshape(-1, 9)).reshape(-1, 3, 3) - after[:, :, None] * before[:, None]
    return nearest_rotation(moments)


def first_state(vertices: np.ndarray, body: LinearBody) -> BodyState:
    """Return the mean body, joint by joint turned to vertices (V, 3) [m] of its topology."""
    turns = joint_turns(vertices, body)
    local = [
        turn if parent < 0 else turns[parent].T @ turn
        for turn, parent in zip(turns, body.parents, strict=True)
    ]
    rotations = Rotation.from_matrix(np.array(local)).as_rotvec()
    posed = body.posed(rotations=rotations)
    return BodyState(np.zeros(body.shape_count), rotations, vertices.mean(0) - posed.vertices.mean(0))


def direct_fit(fit: BodyFit, vertices: np.ndarray, shape: np.ndarray | None = None) -> BodyState:
    """Return the least-squares shape, pose and translation for vertices (V, 3) [m] of the body's topology.

    A given shape (S,) is held.
    """
    state, wanted = first_state(vertices, fit.body), vertices[fit.vertices]
    if shape is not None:
        state = replace(state, shape=shape)
    held = 0 if shape is None else len(shape)
    start, damping, moved = state.rotations, 1e-3, None
    for _ in range(ITERATIONS):
        moved = fit.moved(state, moved, NEAR)
        equations = NormalEquations.empty(fit.size)
        gap = (moved.vertices - wanted).ravel()
        weight = np.full(len(gap), 1 / VERTEX_STD**2)
        equations.add(moved.jacobian.reshape(len(gap), -1), gap, weight)
        fit.add_prior(equations, state, start, POSE_STD)
        step = equations.step(damping, held)
        state, damping = state.moved(step), damping / 3
        if np.abs(step).max() < SETTLED:
            break
    return state
