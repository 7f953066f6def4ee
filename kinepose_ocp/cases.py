"""Boundary cases: motions on which positions do not determine the answer, or hardly.

Each one has a purpose, a seeded motion (:mod:`kinepose_ocp.case_motions`) and the errors up to which it
passes. Evaluation uses the seeds given here, from :data:`EVALUATION_SEED` on; whoever tunes a number of the
library uses :data:`TUNING_SEEDS` and never these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from kinepose_ocp import case_motions as motions
from kinepose_ocp.case_motions import Sample
from kinepose_ocp.errors import KineposeError, possible

EVALUATION_SEED = 1000
TUNING_SEEDS = range(100)
ALWAYS = {"rom_violation": 0.01, "not_converged": 0.0, "mirror_wrong": 0.0}  # limits of every case


@dataclass(frozen=True)
class BoundaryCase:
    """One boundary case.

    Attributes
    ----------
    make
        Seed to sample.
    limits
        Largest values with which it passes, by metric (``METRICS`` of :mod:`kinepose_ocp.evaluate`), beside
        those of :data:`ALWAYS`.
    lengths
        As in :func:`solve_motion`.
    mirrored
        Whether left and right of the points are swapped, which must be noticed.
    family, level
        Cases that differ in one number: what it is, with its unit, and the number.
    """

    name: str
    purpose: str
    make: Callable[[int], Sample]
    limits: Mapping[str, float]
    seed: int = EVALUATION_SEED
    lengths: str = "estimate"
    mirrored: bool = False
    family: str = ""
    level: float = field(default=np.nan)

    def sample(self, seed: int | None = None) -> Sample:
        """Make the motion and its measurement; by default with the seed of the evaluation."""
        return self.make(self.seed if seed is None else seed)


def choose(names: Sequence[str]) -> list[BoundaryCase]:
    """Return the cases of these names, in the order of :data:`CASES`.

    Raises
    ------
    KineposeError
        For a name that no case has.
    """
    known = [case.name for case in CASES]
    for name in names:
        if name not in known:
            raise KineposeError(f"no case '{name}'; {possible(name, known)}")
    return [case for case in CASES if case.name in names]


def _errors(global_: float, local: float, **more: float) -> dict[str, float]:
    """Limits [degree] of the two kinds of MPJAS, and others."""
    return {"mpjas_global": global_, "mpjas_local": local} | more


def _made(make: Callable[..., Sample], model: str, frames: int, **options: object) -> Callable[[int], Sample]:
    return partial(make, model, frames, **options)


FULL, PAPER = "fullbody", "imvip22"
TUMBLE = {"pelvis.yaw": (0.0, 180.0), "pelvis.list": (0.0, 360.0), "pelvis.tilt": (0.0, -360.0)}
ELEVATED = {"shoulder_right.flexion": (60.0, 90.0, 90.0, 120.0), "shoulder_left.flexion": (90.0, 90.0)}
# Limits are round numbers somewhat above what was reached when they were set; they are there to be lowered.
SWEEPS = [
    BoundaryCase(
        f"noise-{level}-mm",
        f"white noise of {level} mm standard deviation on every coordinate",
        _made(motions.randomly, PAPER, 90, noise=level / 1000),
        _errors(*limits),
        seed=1001,
        family="noise [mm]",
        level=level,
    )
    for level, limits in {0: (0.3, 0.6), 5: (1.5, 2), 10: (2.5, 3), 20: (4, 4.5)}.items()
] + [
    BoundaryCase(
        f"rate-{level}-hz",
        f"0.3 s of the same motion, sampled at {level} Hz",
        partial(motions.sampled, PAPER, 0.3, rate=level),
        _errors(*limits),
        seed=1002,
        family="sampling rate [Hz]",
        level=level,
    )
    for level, limits in {15: (3.5, 4), 60: (2, 2.5), 240: (2, 2), 1000: (1, 1.5)}.items()
]
CASES = [
    BoundaryCase(
        "general",
        "all joints move at random over their whole ROM",
        _made(motions.randomly, FULL, 120),
        _errors(4, 6),
    ),
    BoundaryCase(
        "general-imvip22",
        "the same with the chain of the KinePose paper, whose root stays in place",
        _made(motions.randomly, PAPER, 120),
        _errors(2.5, 3),
    ),
    BoundaryCase(
        "straight",
        "elbows and knees exactly straight for 0.25 to 2 s: the twist above them is in no frame's positions",
        _made(motions.randomly, FULL, 150, straight=True),
        _errors(13, 9, above_hinge_below_10=28),
        seed=1003,
    ),
    BoundaryCase(
        "straight-imvip22",
        "the same with the chain of the paper",
        _made(motions.randomly, PAPER, 180, straight=True),
        _errors(3.5, 3, above_hinge_below_10=9.5),
        seed=1003,
    ),
    BoundaryCase(
        "rom-at",
        "every other joint angle at a limit of its ROM throughout",
        _made(motions.rom_at, PAPER, 90),
        _errors(1.5, 1.5),
    ),
    BoundaryCase(
        "rom-along",
        "angles reach a limit, stay on it while others move, and leave it",
        _made(motions.rom_along, PAPER, 120),
        _errors(2.5, 2.5),
    ),
    BoundaryCase(
        "rom-beyond",
        "the subject leaves every ROM of the chain by up to 10 degrees: the answer must not",
        _made(motions.rom_beyond, PAPER, 120),
        _errors(6.5, 8),
    ),
    BoundaryCase(
        "hyperextended",
        "knees and elbows up to 15 degrees backwards, where the chain's ROM ends at straight",
        _made(motions.hyperextended, PAPER, 120),
        _errors(9, 8, over_90=1),
    ),
    BoundaryCase(
        "gimbal-shoulder",
        "arm straight forward, through and at the singularity of the shoulder angles",
        _made(motions.passing, FULL, 90, ramps=ELEVATED),
        _errors(4, 8),
    ),
    BoundaryCase(
        "gimbal-pelvis",
        "pelvis pitched through and at 90 degrees, the singularity of the root's angles",
        _made(motions.passing, PAPER, 90, ramps={"pelvis.y": (40.0, 90.0, 90.0, 130.0)}),
        _errors(1.5, 2),
    ),
    BoundaryCase(
        "turning",
        "the root turns three times",
        _made(motions.passing, FULL, 120, ramps={"pelvis.yaw": (0.0, 1080.0)}),
        _errors(2, 3),
    ),
    BoundaryCase(
        "tumbling",
        "a full turn about two axes, half a turn about the third",
        _made(motions.passing, FULL, 120, ramps=TUMBLE),
        _errors(2.5, 4),
    ),
    BoundaryCase(
        "lying",
        "lying on one side: the other singularity of the pelvis angles",
        _made(motions.passing, FULL, 90, ramps={"pelvis.list": (90.0, 90.0)}),
        _errors(4.5, 9),
    ),
    BoundaryCase(
        "throw",
        "the fastest second of an overarm throw: the elbow is straight for a moment at release",
        partial(motions.throw, 60),
        _errors(3, 4, above_hinge_below_10=8),
    ),
    BoundaryCase(
        "slow",
        "a tenth of a second of motion in two seconds: nothing between frames but noise",
        _made(motions.slowly, PAPER, 120),
        _errors(3, 3.5),
    ),
    BoundaryCase(
        "one-frame", "a single frame", _made(motions.first_frames, FULL, 1), _errors(5, 8), seed=1004
    ),
    BoundaryCase("two-frames", "two frames", _made(motions.first_frames, FULL, 2), _errors(5, 8), seed=1004),
    *SWEEPS,
    BoundaryCase(
        "clean-fullbody",
        "no noise, but a chain of which 17 points hide something: how lumbar spine and thorax share a turn",
        _made(motions.randomly, FULL, 90, noise=0.0),
        {"mpjas_global_lower_limbs": 0.5, "mpjas_local_lower_limbs": 1},
        seed=1001,
    ),
    BoundaryCase(
        "only-root",
        "all DOFs but those of the root are locked",
        _made(motions.only_root, FULL, 60),
        _errors(0.5, 0.5),
    ),
    BoundaryCase(
        "drift",
        "every point wanders by 20 mm rms within 0.3 s, beside 5 mm of white noise",
        _made(motions.randomly, FULL, 90, drift=0.020),
        _errors(7.5, 10.5),
        seed=1001,
    ),
    BoundaryCase(
        "outliers",
        "2 % of the points are 0.3 m off",
        _made(motions.outliers, FULL, 90),
        _errors(2.5, 3.5),
        seed=1001,
    ),
    BoundaryCase(
        "missing",
        "10 % of the points are missing, in bursts of 0.1 to 0.5 s",
        _made(motions.randomly, FULL, 90, missing=0.10),
        _errors(5, 7),
        seed=1001,
    ),
    BoundaryCase(
        "limb-gone",
        "elbow and wrist of one arm are missing for a second",
        _made(motions.limb_gone, FULL, 120),
        _errors(10, 9, mpjas_global_lower_limbs=1.5),
        seed=1001,
    ),
    BoundaryCase(
        "lengths-model",
        "the chain's segments are 10 % too long or too short, and taken as they are",
        _made(motions.wrong_lengths, FULL, 90),
        _errors(11, 17),
        seed=1001,
        lengths="model",
    ),
    BoundaryCase(
        "lengths-estimate",
        "the same wrong chain, its lengths estimated from the points",
        _made(motions.wrong_lengths, FULL, 90),
        _errors(11, 17),
        seed=1001,
    ),
    BoundaryCase(
        "swapped",
        "left and right of all points swapped: must be noticed",
        _made(motions.swapped, FULL, 60),
        {},
        mirrored=True,
    ),
    BoundaryCase(
        "swapped-imvip22",
        "the same where no face is measured",
        _made(motions.swapped, PAPER, 60),
        {},
        mirrored=True,
    ),
]
QUICK = ("general-imvip22", "one-frame", "two-frames", "rate-15-hz", "rate-60-hz", "swapped-imvip22")
