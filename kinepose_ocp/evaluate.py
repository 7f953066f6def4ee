"""Run the boundary cases, and clips of measured motion, in default settings: what could refute the claims.

The result is one Dataset with ``value (case, metric)`` and the ``limit`` that each must not exceed.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from kinepose_ocp import cases, clips
from kinepose_ocp.cases import ALWAYS, BoundaryCase
from kinepose_ocp.chain import Chain
from kinepose_ocp.chain_file import chain_from_yaml
from kinepose_ocp.errors import SolveError
from kinepose_ocp.handedness import seems_mirrored
from kinepose_ocp.metrics import DETERMINED, angular_error, coverage, summary
from kinepose_ocp.slsqp_baseline import solve_slsqp
from kinepose_ocp.solve_motion import solve_motion
from kinepose_ocp.synthetic import limb_hinges
from kinepose_ocp.workers import executor

BINS = {"above_hinge_below_10": (0, 10), "above_hinge_10_to_20": (10, 20), "above_hinge_over_20": (20, 361)}
METRICS = {  # name: unit, what it is
    "mpjas_global": ("degree", "mean angle between true and found orientation in the world"),
    "mpjas_local": ("degree", "the same of each joint's own rotation"),
    "mpjas_global_lower_limbs": ("degree", "the same in the world, of hips and knees"),
    "mpjas_local_lower_limbs": ("degree", "the same of hips' and knees' own rotation"),
    "above_hinge_below_10": ("degree", "error of the joint above an elbow or knee bent less than 10 degree"),
    "above_hinge_10_to_20": ("degree", "the same, bent 10 to 20 degree"),
    "above_hinge_over_20": ("degree", "the same, bent more"),
    "shown": ("degree", "own error where a frame's points determine the joint: observability 0.5 or more"),
    "hidden": ("degree", "own error where they do not"),
    "within_1_shown": ("percent", "errors within one predicted deviation (68 if honest), joints shown"),
    "within_2_shown": ("percent", "the same within two deviations (95 if honest)"),
    "within_1_hidden": ("percent", "within one deviation, joints hidden"),
    "within_2_hidden": ("percent", "within two deviations, joints hidden"),
    "over_90": ("percent", "share of frames and joints that are wrong by more than 90 degree"),
    "rom_violation": ("degree", "largest excess over a ROM"),
    "jitter": ("m s-3", "root mean square third derivative of the keypoints"),
    "keypoint_error": ("mm", "root mean square distance of modelled and measured keypoints"),
    "milliseconds": ("ms", "time of guess and solver per frame"),
    "not_converged": ("1", "1 when the solver did not converge"),
    "mirror_wrong": ("1", "1 when swapped sides were not noticed, or noticed without being there"),
    "mpjas_full": ("degree", "clips: segments whose orientation the points show"),
    "mpjas_hinge": ("degree", "clips: segments whose twist only a bent hinge shows"),
    "direction_error": ("degree", "clips: bone direction of segments whose twist nothing shows"),
}
BASELINE_FRAMES = 30
UNSEEDED = -1  # in place of the seed of a measured motion
BASELINE_SEEDS = (1003, 1005, 1006)


@dataclass(frozen=True)
class Row:
    """One evaluated motion."""

    case: str
    purpose: str
    frames: int
    seed: int
    value: dict[str, float]
    limit: dict[str, float]
    family: str = ""
    level: float = np.nan


Job = Callable[[], list[Row]]


def evaluate(
    names: Sequence[str] = (),
    *,
    data: Path | None = None,
    baseline: bool = False,
    on_row: Callable[[Row], None] | None = None,
) -> xr.Dataset:
    """Evaluate cases in as many processes as there are cores, at most two.

    Parameters
    ----------
    names
        Of the cases; all when empty.
    data
        Folder of clips (:mod:`kinepose_ocp.clips`), a row each.
    baseline
        Add :func:`solve_slsqp` on motions with straight limbs, beside this project on the same.
    on_row
        Called with every result as it comes.

    Raises
    ------
    KineposeError
        For a name that no case has.
    DataError
        For a folder without clips, or a file that is none.
    """
    chosen = cases.choose(names) if names else cases.CASES
    jobs: list[Job] = [partial(_case_rows, case.name) for case in chosen]
    jobs += [partial(_clip_rows, path) for path in (clips.clip_files(data) if data else [])]
    jobs += [partial(_baseline_rows, seed) for seed in (BASELINE_SEEDS if baseline else ())]
    rows = []
    for found in _results(jobs):
        rows += found
        if on_row is not None:
            for row in found:
                on_row(row)
    return _dataset(rows)


def _results(jobs: list[Job]) -> Iterable[list[Row]]:
    """Run jobs in order; processes are worth their start for more than a few."""
    workers = min(2, os.cpu_count() or 1)
    if workers == 1 or len(jobs) < 8:
        yield from (job() for job in jobs)
        return
    with executor(workers) as pool:
        yield from (future.result() for future in [pool.submit(job) for job in jobs])


def missed(result: xr.Dataset) -> list[str]:
    """Names of the cases with a value above its limit; a limited value that is missing counts, too."""
    over = result["limit"].notnull() & ~(result["value"] <= result["limit"])
    return [str(name) for name in result["case"].values[over.any("metric").values]]


# ---- rows --------------------------------------------------------------------------------------------
def _case_rows(name: str) -> list[Row]:
    (case,) = cases.choose([name])
    return [run_case(case)]


def run_case(case: BoundaryCase) -> Row:
    """Solve one case in default settings and compare it with the truth."""
    chain, keypoints, truth = case.sample()
    motion = _solved(chain, keypoints, case.lengths)
    value = measures(chain, motion, truth)
    value["mirror_wrong"] = float(seems_mirrored(chain, keypoints) != case.mirrored)
    limit = ALWAYS | dict(case.limits)
    frames = keypoints.sizes["time"]
    return Row(case.name, case.purpose, frames, case.seed, value, limit, case.family, case.level)


def _clip_rows(path: Path) -> list[Row]:
    clip = clips.read_clip(path)
    motion = _solved(clip.chain, clip.keypoints, "estimate")
    value = measures(clip.chain, motion, clip.truth) | clips.segment_errors(clip, motion)
    # some skeletons spread a joint over several in a row, whose own rotations the chain does not tell apart
    judged = clip.truth.sel(joint=clip.judged)
    value |= hinge_errors(clip.chain, motion, judged, "global") | coverage(motion, judged)
    value["mirror_wrong"] = float(seems_mirrored(clip.chain, clip.keypoints))
    return [Row(path.stem, f"measured motion: {clip.source}", motion.sizes["time"], UNSEEDED, value, {})]


def _baseline_rows(seed: int) -> list[Row]:
    """The published way and this project, on the first frames of one motion with straight limbs."""
    (case,) = cases.choose(["straight-imvip22"])
    chain, keypoints, truth = case.sample(seed)
    keypoints = keypoints.isel(time=slice(BASELINE_FRAMES))
    solvers: dict[str, Callable[..., xr.Dataset]] = {
        "slsqp": solve_slsqp,
        "kinepose_ocp": partial(_solved, lengths="estimate"),
    }
    return [
        Row(
            f"straight-imvip22 seed {seed}, {name}",
            f"straight limbs, first {BASELINE_FRAMES} frames, "
            + ("SLSQP frame by frame with finite differences" if name == "slsqp" else "this project"),
            BASELINE_FRAMES,
            seed,
            measures(chain, solve(chain, keypoints), truth),
            {},
        )
        for name, solve in solvers.items()
    ]


def _solved(chain: Chain, keypoints: xr.Dataset, lengths: str) -> xr.Dataset:
    try:
        return solve_motion(chain, keypoints, lengths=lengths)
    except SolveError as error:
        if error.motion is None:
            raise
        return error.motion


def measures(chain: Chain, motion: xr.Dataset, truth: xr.Dataset) -> dict[str, float]:
    """All metrics of one motion that a truth allows to tell."""
    known = summary(motion, truth)
    value = {name: known[name] for name in METRICS if name in known}
    value["keypoint_error"] *= 1000
    value |= hinge_errors(chain, motion, truth) | observed_errors(motion, truth)
    value |= coverage(motion, truth) if "orientation_covariance" in motion else {}
    error = angular_error(motion, truth)
    solved = chain_from_yaml(motion.attrs["chain_yaml"])  # DOFs that no point shows are locked there
    turning = {name.rpartition(".")[0] for name, dof in solved.free_dofs.items() if not dof.translates}
    error = error.sel(joint=[str(joint) for joint in error["joint"].values if str(joint) in turning])
    value["over_90"] = 100 * float((error > 90).mean())
    seconds = sum(float(motion[name]) for name in ("guess_seconds", "solve_seconds") if name in motion)
    value["milliseconds"] = 1000 * seconds / motion.sizes["time"]
    value["not_converged"] = 1.0 - float(motion["converged"])
    return value


def observed_errors(motion: xr.Dataset, truth: xr.Dataset) -> dict[str, float]:
    """Mean error [degree] of the joints' own rotations by what the points of the frame show of them."""
    if "observability" not in motion:
        return {}
    error = angular_error(motion, truth, "local")
    solved = chain_from_yaml(motion.attrs["chain_yaml"])
    joints = [joint.name for joint in solved.joints if any(not dof.translates for dof in joint.dofs)]
    error = error.sel(joint=[name for name in error["joint"].values if name in joints])
    shown = motion.observability.sel(joint=error["joint"], time=error["time"]) >= DETERMINED
    return {"shown": float(error.where(shown).mean()), "hidden": float(error.where(~shown).mean())}


def hinge_errors(
    chain: Chain, motion: xr.Dataset, truth: xr.Dataset, frame: str = "local"
) -> dict[str, float]:
    """Mean error [degree] of the joints above elbows and knees, by how far these are truly bent."""
    error, parents = angular_error(motion, truth, frame), {j.name: j.parent for j in chain.joints}
    angles = truth["joint_angle"].sel(time=error["time"], method="nearest")
    bend, above = [np.empty(0)], [np.empty(0)]
    for hinge in limb_hinges(chain):
        if parents[hinge.joint] in error["joint"].values and hinge.dof in angles["dof"].values:
            bend.append(np.abs(angles.sel(dof=hinge.dof).values - hinge.straight))
            above.append(error.sel(joint=parents[hinge.joint]).values)
    flexion, wrong = np.concatenate(bend), np.concatenate(above)
    inside = {name: (flexion >= low) & (flexion < high) for name, (low, high) in BINS.items()}
    return {name: float(wrong[mask].mean()) if mask.any() else np.nan for name, mask in inside.items()}


# ---- the result --------------------------------------------------------------------------------------
def _dataset(rows: list[Row]) -> xr.Dataset:
    """Dataset with dims case, metric."""
    table = {
        name: [[getattr(row, name).get(metric, np.nan) for metric in METRICS] for row in rows]
        for name in ("value", "limit")
    }
    ds = xr.Dataset(
        {name: (("case", "metric"), np.array(values, dtype=float)) for name, values in table.items()},
        {"case": [row.case for row in rows], "metric": list(METRICS)},
    )
    ds["value"].attrs["long_name"] = "what was reached, in the metric's unit"
    ds["limit"].attrs["long_name"] = "largest value with which the case passes; NaN = none is stated"
    ds["unit"] = ("metric", [unit for unit, _ in METRICS.values()])
    ds["meaning"] = ("metric", [text for _, text in METRICS.values()])
    for name in ("purpose", "family", "frames", "seed", "level"):
        ds[name] = ("case", [getattr(row, name) for row in rows])
    packages = ("kinepose_ocp", "casadi", "numpy", "scipy", "xarray")
    versions = {f"{name}_version": importlib.metadata.version(name) for name in packages}
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return ds.assign_attrs(
        title="evaluation of kinepose_ocp on boundary cases",
        history=f"{now} evaluated",
        python_version=platform.python_version(),
        machine=f"{platform.machine()}, {os.cpu_count()} cores",
        **versions,
    )
