"""How near the fitted body is to the skin, how true rotations of bones are, and how long a frame takes.

Registration: the 12 people of the open body, standing and squatting, as meshes of the body's own topology,
remeshed, and remeshed with noise; with ``--meshes`` bodies outside the family of the open body, remeshed
(``models/surface/build_outside.py`` makes the file). Distances are to the skin before remeshing and noise.
Rotations: skin that known motions of bones drive, and the bones found in it from the skin alone.
Time: a walk as poses, as meshes of the body's own topology, and as meshes of another topology in every frame,
in seconds of a process without others beside it. The table says which goals the worst case meets.
"""

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import surface_measurements as measure
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import kinepose_ocp as kp
from kinepose_ocp import plotting
from kinepose_ocp.surface.body import example_people

PEOPLE = tuple(example_people())
POSES = ("stand", "deep squat")  # of the study body_poses
KINDS, MOTIONS, SEQUENCES = tuple(measure.FRAMES_OF), tuple(measure.MOTIONS), measure.SEQUENCES
DISTANCE_GOALS = {"own topology": 1.0, "remeshed": None, "remeshed, noise": 4.0, "outside": 3.0}  # mm
ROTATION_GOALS = {"pelvis": 3.0, "shoulder girdle": 2.0, "others": 2.0}  # degree
FRAME_GOAL = 0.3  # s
FRAME_TIMES = {"frame": "a frame of all", "further": "a frame beyond the first"}
OUTSIDE = "outside"
LABELS = {OUTSIDE: "outside the family, remeshed"}
COLOURS = dict(zip(ROTATION_GOALS, ("#0077BB", "#EE7733", "#009988"), strict=True))
CLOCK_COLOURS = {"processor": "#0077BB", "wall": "#33BBEE"}
LINE = "#222222"


@dataclass(frozen=True)
class Judged:
    """Values of one measure, NaN where nothing was found, and what the worst may be; None: no goal."""

    what: str
    unit: str
    values: np.ndarray
    goal: float | None

    @property
    def found(self) -> int:
        return int(np.isfinite(self.values).sum())

    @property
    def met(self) -> bool | None:
        """Whether all were found within the goal."""
        return None if self.goal is None else bool((self.values <= self.goal).all())

    def line(self) -> str:
        """One line of the table."""
        worst, median = (
            (np.nanmax(self.values), np.nanmedian(self.values)) if self.found else (np.nan, np.nan)
        )
        count = f"{self.found} of {self.values.size}"
        goal = "none" if self.goal is None else f"{self.goal:g}"
        verdict = {None: "", True: "met", False: "missed"}[self.met]
        numbers = f"{worst:9.3f}{median:9.3f}{count:>11s}{goal:>7s}"
        return f"{self.what:56s}{self.unit:>8s}{numbers}  {verdict}".rstrip()


def main(
    folder: Path,
    people: Sequence[str] = PEOPLE,
    poses: Sequence[str] = POSES,
    kinds: Sequence[str] = KINDS,
    motions: Sequence[str] = MOTIONS,
    sequences: Sequence[str] = SEQUENCES,
    frames: int = 20,
    meshes: Path | None = None,
    seed: int = 0,
    workers: int = 2,
) -> xr.Dataset:
    """Measure everything, write Dataset and figure, and return the Dataset.

    meshes: file of bodies outside the family; frames: of the timed sequences, at least 2; seed: of noise and
    of the directions that people face. Time is measured in one process, when the others have ended.
    """
    outside = {} if meshes is None else measure.outside_meshes(meshes)
    seeds = range(seed, seed + len(people))
    wanted = [[each] * len(people) for each in (poses, kinds, motions)]
    found = side_by_side(workers, measure.measured_person, people, *wanted, seeds)
    fits = side_by_side(workers, measure.outside_fit, outside.values())
    result = xr.merge(
        [
            measure.registration_table(people, poses, kinds, [person.fits for person in found]),
            measure.outside_table(list(outside), fits),
            measure.rotation_table(people, motions, found),
            measure.time_table(sequences, frames),
        ]
    ).assign_attrs(title=__doc__.splitlines()[0], seed=seed, frames=frames, noise_mm=1e3 * measure.NOISE)
    kp.write(result, folder / "surface_accuracy.nc")
    plotting.save_figure(figure(result), folder / "surface_accuracy.png")
    report(result)
    print(f"written: {folder}/surface_accuracy.nc, surface_accuracy.png")
    return result


def side_by_side(workers: int, work: Callable, *jobs) -> list:
    """What a function returns for job after job, side by side where there are several workers."""
    if workers == 1:
        return list(map(work, *jobs))
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        return list(pool.map(work, *jobs))


# ---- what is printed -----------------------------------------------------------------------------
def distances(result: xr.Dataset, kind: str) -> xr.DataArray:
    """Mean distance [mm] between true skin and fit: of both ways the larger one."""
    if kind == OUTSIDE:
        return np.maximum(result.outside_skin_to_fit, result.outside_fit_to_skin)
    one = result.sel(kind=kind)
    return np.maximum(one.skin_to_fit, one.fit_to_skin)


def kinds_of(result: xr.Dataset) -> list[str]:
    """Kinds of meshes that were registered."""
    return [*result.kind.values.tolist(), *([OUTSIDE] if "mesh" in result.sizes else [])]


def rotations(result: xr.Dataset, name: str) -> xr.DataArray:
    """Largest error [degree] of the parts of a segment by person and motion; NaN where no pose was found."""
    return result.rotation_error.where(result.segment == name).max("part").where(result.converged == 1)


def judged(result: xr.Dataset) -> list[Judged]:
    """Every measure that may have a goal."""
    lines = [
        Judged(
            f"skin to fit: {LABELS.get(kind, kind)}",
            "mm",
            distances(result, kind).values,
            DISTANCE_GOALS[kind],
        )
        for kind in kinds_of(result)
    ]
    lines += [
        Judged(f"rotation: {name}", "degree", rotations(result, name).values, goal)
        for name, goal in ROTATION_GOALS.items()
    ]
    lines += [
        Judged(f"{text}: {sequence}, {clock} time", "s", one[name].values.reshape(1), FRAME_GOAL)
        for name, text in FRAME_TIMES.items()
        for sequence in result.sequence.values
        for clock in result.clock.values
        for one in [result.sel(sequence=sequence, clock=clock)]
    ]
    return lines


def report(result: xr.Dataset) -> None:
    """Print measures against goals, then rotations by motion, meshes of the file, and time."""
    heads = f"{'worst':>9s}{'median':>9s}{'found':>11s}{'goal':>7s}"
    print(f"{'worst case against the goal':56s}{'':8s}{heads}")
    for one in judged(result):
        print(one.line())
    if "mesh" not in result.sizes:
        print("skin to fit outside the family: not measured, give meshes with --meshes")
    print_fits(result)
    print("rotation error [degree] of every motion: the worst person")
    print(f"{'':24s}" + "".join(f"{name:>18s}" for name in ROTATION_GOALS))
    for motion in result.motion.values:
        cells = [float(rotations(result, name).sel(motion=motion).max()) for name in ROTATION_GOALS]
        print(f"{motion:24s}" + "".join(f"{cell:18.2f}" for cell in cells))
    print(f"a walk of {result.frames} frames, seconds of processor and wall time; only start builds programs")
    print(f"{'':16s}" + "".join(f"{name:>20s}" for name in measure.TIMES))
    for sequence in result.sequence.values:
        rows = [result[name].sel(sequence=sequence).values for name in measure.TIMES]
        cells = [", ".join(f"{value:.2f}" for value in row) for row in rows]
        print(f"{sequence:16s}" + "".join(f"{cell:>20s}" for cell in cells))


def print_fits(result: xr.Dataset) -> None:
    """Print the distances of meshes by pose, of those of the file by name, and what was refused."""
    print("mean distance [mm] between skin and fit, the worst person, and processor time [s] of a mesh")
    for kind in result.kind.values:
        for pose in result.pose.values:
            far, one = distances(result, kind).sel(pose=pose), result.sel(kind=kind, pose=pose)
            print(f"{f'{kind}, {pose}':44s}{float(far.max()):9.2f}{float(one.seconds.median()):9.1f}")
            for person in result.person.values[one.refusal.values != ""]:
                print(f"    {person}: {one.refusal.sel(person=person).item()}")
    if "mesh" in result.sizes:
        for name, far in zip(result.mesh.values, distances(result, OUTSIDE).values, strict=True):
            one = result.sel(mesh=name)
            why = one.outside_refusal.item()
            print(f"{name:44s}{far:9.2f}{float(one.outside_seconds):9.1f}" + (f"  {why}" if why else ""))


# ---- figure --------------------------------------------------------------------------------------
def figure(result: xr.Dataset) -> Figure:
    """Distances of fits, errors of rotations and seconds a frame, beside their goals."""
    drawing = Figure(figsize=(13, 4.6), layout="constrained")
    near, turned, clock = drawing.subplots(1, 3)
    draw_distances(near, result)
    draw_rotations(turned, result)
    draw_times(clock, result)
    plotting.unframed(near, turned, clock)
    for ax in (near, turned, clock):
        ax.invert_yaxis()
        ax.set_xlim(left=0)
    shown = {
        label: handle
        for ax in (near, turned, clock)
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    drawing.legend(
        shown.values(), shown.keys(), loc="outside lower center", ncols=7, frameon=False, fontsize=9
    )
    return drawing


def draw_distances(ax: Axes, result: xr.Dataset) -> None:
    """One dot a mesh, a row a kind of mesh."""
    kinds = kinds_of(result)
    for row, kind in enumerate(kinds):
        values = distances(result, kind).values.ravel()
        ax.plot(values, spread(len(values), row), "o", ms=5, alpha=0.6, color=LINE, mew=0)
        draw_goal(ax, DISTANCE_GOALS[kind], row)
    ax.set_yticks(range(len(kinds)), [LABELS.get(kind, kind).replace(", ", ",\n") for kind in kinds])
    ax.set_xlabel("mean distance between skin and fitted body [mm]")
    ax.set_title("Registration, one dot a mesh", fontsize=10)


def draw_rotations(ax: Axes, result: xr.Dataset) -> None:
    """One dot a person: the largest error of each segment, a row a motion."""
    rows = np.arange(result.sizes["motion"])
    for shift, name in zip((-0.25, 0.0, 0.25), ROTATION_GOALS, strict=True):
        for row, motion in enumerate(result.motion.values):
            values = rotations(result, name).sel(motion=motion).values
            label = name if row == 0 else None
            ax.plot(
                values,
                np.full(len(values), row + shift),
                "o",
                ms=4,
                alpha=0.6,
                color=COLOURS[name],
                mew=0,
                label=label,
            )
            ax.vlines(ROTATION_GOALS[name], row + shift - 0.12, row + shift + 0.12, color=LINE, lw=1.5)
    ax.set_yticks(rows, [str(motion) for motion in result.motion.values])
    ax.set_xlabel("largest rotation error of a segment [°]")
    ax.set_title("Bones from the skin alone, one dot a person", fontsize=10)


def draw_times(ax: Axes, result: xr.Dataset) -> None:
    """Bars of seconds a frame of all, and a diamond for a frame beyond the first; a row a sequence."""
    rows = np.arange(result.sizes["sequence"])
    for shift, clock in zip((-0.2, 0.2), result.clock.values, strict=True):
        values = result.frame.sel(clock=clock).values
        ax.barh(
            rows + shift, values, 0.36, color=CLOCK_COLOURS[str(clock)], label=f"a frame of all, {clock} time"
        )
        for row, value in zip(rows + shift, values, strict=True):
            ax.text(value, row, f" {value:.2f}", va="center", fontsize=8)
        further = result.further.sel(clock=clock).values
        label = FRAME_TIMES["further"] if shift > 0 else None
        ax.plot(further, rows + shift, "D", ms=5, color="white", mec=LINE, mew=1, label=label)
    for row in rows:
        draw_goal(ax, FRAME_GOAL, row)
    ax.set_yticks(rows, [str(name).replace(" ", "\n") for name in result.sequence.values])
    ax.set_xlim(right=1.15 * max(FRAME_GOAL, float(result.frame.max())))
    ax.set_xlabel("time a frame, programs built before [s]")
    ax.set_title(f"A walk of {result.frames} frames", fontsize=10)


def spread(count: int, row: int) -> np.ndarray:
    """Places of dots about a row, so that equal ones show."""
    return row + np.linspace(-0.2, 0.2, count)


def draw_goal(ax: Axes, goal: float | None, row: float) -> None:
    """A short line where the goal is, if there is one."""
    if goal is not None:
        ax.plot([goal, goal], [row - 0.38, row + 0.38], color=LINE, lw=1.5, label="goal")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("out/surface_accuracy"))
    parser.add_argument("--people", type=int, default=len(PEOPLE), help="how many of the 12")
    parser.add_argument("--frames", type=int, default=20, help="of the timed sequences, at least 2")
    parser.add_argument("--meshes", type=Path, help=".npz that models/surface/build_outside.py makes")
    parser.add_argument("--seed", type=int, default=0, help="of noise and of the directions people face")
    parser.add_argument("--workers", type=int, default=2, help="processes; 1 while other programs run")
    given = parser.parse_args()
    if given.people < 1 or given.frames < 2:
        parser.error("at least 1 person and 2 frames are needed")
    main(
        given.output,
        PEOPLE[: given.people],
        frames=given.frames,
        meshes=given.meshes,
        seed=given.seed,
        workers=given.workers,
    )
