"""The whole motion against CasADi's own derivatives of its total cost."""

import casadi as ca
import numpy as np
import pytest
from random_chains import plain_frames, random_chain, random_coordinates, random_data
from test_kernels import Entangled, close
from test_terms import NeutralPosture

from kinepose_ocp.kernels import KernelSet
from kinepose_ocp.terms import (
    AngularAcceleration,
    AngularVelocity,
    KeypointPosition,
    LinearAcceleration,
    LinkDirection,
)
from kinepose_ocp.transcription import Transcription

CHAIN = random_chain(11, joints=4)
MEASURED = tuple(CHAIN.keypoints)[:-1]
FRAMES = [1, 2, 3, 5]
TERM_LISTS = {
    "pose alone": [LinkDirection()],
    "usual": [LinkDirection(), KeypointPosition(), AngularAcceleration(), LinearAcceleration()],
    "all spans": [AngularAcceleration(), Entangled(), LinkDirection(), AngularVelocity(), NeutralPosture()],
    "smoothness alone": [AngularAcceleration()],
    "links and velocity": [AngularVelocity(), LinkDirection()],
}
KERNELS = {name: KernelSet(CHAIN, MEASURED, terms) for name, terms in TERM_LISTS.items()}


class Motion:
    """A motion in numbers, with non-uniform steps, and what CasADi makes of its plain expression."""

    def __init__(self, name, frames):
        rng = np.random.default_rng(frames)
        self.terms, self.frames = TERM_LISTS[name], frames
        self.transcription = Transcription(KERNELS[name], frames)
        self.q = random_coordinates(CHAIN, rng, frames)
        self.x = self.q.ravel()
        self.data = random_data(len(MEASURED), rng, frames)
        self.steps = rng.uniform(0.1, 0.3, frames - 1)
        shared = KERNELS[name].shared_values(CHAIN, self.terms)
        self.p = self.transcription.parameters(self.data, self.steps, shared)

    def plain(self):
        """Cost of every term, gradient, exact and Gauss-Newton Hessian."""
        x, frames = plain_frames(CHAIN, MEASURED, self.data, self.steps)
        costs, residuals = [], []
        for term in self.terms:
            windows = [frames[t : t + term.span] for t in range(self.frames - term.span + 1)]
            parts = [ca.densify(term.residual(*window)) for window in windows]
            own = [term.cost(*window) for window in windows] if hasattr(term, "cost") else []
            costs.append(sum(own or [ca.sumsqr(part) / 2 for part in parts], ca.SX(0)))
            residuals += parts
        hessian, gradient = ca.hessian(sum(costs), x)
        jacobian = ca.jacobian(ca.vertcat(*residuals), x) if residuals else ca.SX(1, x.numel())
        function = ca.Function("plain", [x], [ca.vertcat(*costs), gradient, hessian, jacobian.T @ jacobian])
        return [np.array(ca.DM(part)) for part in function(self.x)]

    def number(self, expression):
        return ca.Function("f", [self.transcription.x, self.transcription.p], [expression])(self.x, self.p)


@pytest.mark.parametrize("frames", FRAMES)
@pytest.mark.parametrize("name", TERM_LISTS)
def test_cost_gradient_and_hessians_equal_automatic_ones(name, frames):
    motion = Motion(name, frames)
    costs, gradient, hessian, gauss_newton = motion.plain()
    made = motion.transcription
    assert close(made.values.costs(motion.q, motion.p)[:, None], costs, 1e-10)
    assert close(made.values.gradient(motion.q, motion.p).reshape(-1, 1), gradient, 1e-10)
    for exact, expected in ((True, hessian), (False, gauss_newton)):
        found = np.array(ca.DM(motion.number(made.hessian(exact))))
        assert close(found, np.triu(expected), 1e-10)


@pytest.mark.parametrize("frames", FRAMES)
@pytest.mark.parametrize("name", TERM_LISTS)
def test_blocks_are_the_parts_of_the_hessian(name, frames):
    motion = Motion(name, frames)
    made, size = motion.transcription, len(CHAIN.free_dofs)
    for exact in (True, False):
        blocks = made.values.blocks(motion.q, motion.p, exact)
        whole = np.zeros((size * frames, size * frames))
        for lag, (pattern, block) in enumerate(zip(made.patterns, blocks, strict=True)):
            rows, columns = (np.array(part, dtype=int) for part in pattern.get_triplet())
            assert block.shape == (len(rows), frames - lag)
            for t in range(frames - lag):
                whole[t * size + rows, (t + lag) * size + columns] = np.array(block)[:, t]
        assert np.array_equal(whole, np.array(ca.DM(motion.number(made.hessian(exact)))))


@pytest.mark.parametrize("frames", FRAMES)
@pytest.mark.parametrize("name", TERM_LISTS)
def test_pattern_is_upper_triangular_and_banded(name, frames):
    made = Transcription(KERNELS[name], frames)
    pattern, size = made.sparsity, len(CHAIN.free_dofs)
    assert pattern.is_triu()
    assert pattern.nnz() == sum((frames - lag) * block.nnz() for lag, block in enumerate(made.patterns))
    rows, columns = (np.array(part, dtype=int) for part in pattern.get_triplet())
    assert (columns // size - rows // size).max() < len(KERNELS[name].patterns)
    assert made.hessian().sparsity() == pattern


def test_the_hessian_grows_linearly_with_frames():
    counts = [Transcription(KERNELS["usual"], frames).sparsity.nnz() for frames in (10, 20, 30)]
    assert counts[2] - counts[1] == counts[1] - counts[0]


def test_terms_longer_than_the_motion_cost_nothing():
    motion = Motion("usual", 2)
    costs = motion.transcription.values.costs(motion.q, motion.p)
    assert costs[:2].all() and not costs[2:].any()


def test_steps_matter():
    motion = Motion("usual", 5)
    made, data_size = motion.transcription, 5 * len(MEASURED) * 5
    before = made.values.costs(motion.q, motion.p)
    motion.p[data_size : data_size + 4] *= 2
    after = made.values.costs(motion.q, motion.p)
    assert np.allclose(after, before / [1, 1, 16, 16])
