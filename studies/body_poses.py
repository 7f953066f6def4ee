"""How much of the bones lies inside the skin, and how far do they stick out: 12 people in everyday poses.

The people of the open body get their bones standing as their rig does, and are then posed by rotations of the
rig. Where skin is drawn into a deep bend, bones with true rotations leave it, kneecaps first: these are also
counted apart. The dashed lines in the figure are what `report.json` of a skeleton warns of.
`people.png` shows everyone in every pose; segments are compared with those published of adults.
"""

import argparse
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import kinepose_ocp as kp
from kinepose_ocp import plotting
from kinepose_ocp.surface.anthropometry import Proportion, proportions
from kinepose_ocp.surface.body import LinearBody, example_people
from kinepose_ocp.surface.command import default_body, default_skeleton
from kinepose_ocp.surface.envelope import Envelope
from kinepose_ocp.surface.joint_geometry import placed_geometry
from kinepose_ocp.surface.mesh import Mesh
from kinepose_ocp.surface.placed_skeleton import PlacedSkeleton
from kinepose_ocp.surface.placement import placement_problem
from kinepose_ocp.surface.posing import posing_problem
from kinepose_ocp.surface.quality import ENDS, skeleton_quality
from kinepose_ocp.surface.shaded import View, picture
from kinepose_ocp.surface.skeleton import joined
from kinepose_ocp.surface.skeleton_report import LEAST_INSIDE, MOST_PROTRUSION

PEOPLE = tuple(example_people())


def both(name: str, x: float, y: float, z: float) -> dict[str, tuple[float, float, float]]:
    """Rotation vector [degree] of a joint of the left side, and its mirror image on the right."""
    return {f"{name}_left": (x, y, z), f"{name}_right": (-x, y, -z)}


BENT = ("knee_left", "knee_right", "elbow_left", "elbow_right")  # flexion [degree] about the limb's own axis
POSES = {  # rotation vectors [degree] of the rig's joints; x forward, y left, z up
    "stand": both("upperarm", -35, 0, 0),
    "sit": both("upperleg", 0, -85, 0)
    | both("upperarm", -30, -20, 0)
    | dict.fromkeys(BENT[:2], 85)
    | dict.fromkeys(BENT[2:], 40),
    "deep squat": both("upperleg", 12, -110, 0)
    | both("foot", 0, -25, 0)
    | both("upperarm", -20, -60, 0)
    | {"root": (0, 20, 0), "spine04": (0, 10, 0), "spine03": (0, 15, 0), "spine02": (0, 10, 0)}
    | dict.fromkeys(BENT[:2], 120),
    "crouch": both("upperleg", 8, -120, 0)
    | both("foot", 0, -10, 0)
    | both("toe", 0, -20, 0)
    | both("upperarm", -30, -30, 0)
    | {"root": (0, 30, 0), "spine04": (0, 15, 0), "spine03": (0, 20, 0), "spine02": (0, 15, 0)}
    | {"spine01": (0, 10, 0), "neck01": (0, -15, 0)}
    | dict.fromkeys(BENT[:2], 135)
    | dict.fromkeys(BENT[2:], 60),
    "arms overhead": both("clavicle", 20, 0, 0) | both("upperarm", 75, -20, 0),
    "mid-stride": {
        **{"upperleg_left": (0, -30, 0), "upperleg_right": (0, 15, 0), "knee_left": 15, "knee_right": 40},
        **{"foot_left": (0, 5, 0), "foot_right": (0, 15, 0), "toe_right": (0, -25, 0)},
        **{"upperarm_left": (-35, 25, 0), "upperarm_right": (35, -25, 0), "elbow_right": 20},
        **{"spine03": (0, 3, -6), "root": (0, 3, 5)},
    },
}
MEASURES = {  # variable: unit, and what it is
    "inside": ("percent", "share of the bones' area inside the skin"),
    "beyond": ("percent", "share of the bones' area more than 2 mm outside"),
    "protrusion": ("mm", "how far bones of trunk, arms and legs stick out, without hands and feet"),
    "protrusion_without_kneecaps": ("mm", "the same without kneecaps"),
    "hard_gap": ("mm", "largest gap of a ball or hinge"),
    "loose_gap": ("mm", "largest gap of a joint of the shoulder girdle"),
    "converged": ("1", "whether the pose was found"),
    "seconds": ("s", "time of one core for the pose"),
}
COLOURS = {"protrusion": "#EE7733", "protrusion_without_kneecaps": "#0077BB"}
LINE = "#222222"
PIXEL, DPI = 0.004, 200  # of the page of people: metres, and dots per inch
GAP, MARGIN = 16, 110  # pixels between people, and for their names
ASIDE = np.radians(-35)  # from where people are seen: so far to their right
VIEW = np.array([[-np.sin(ASIDE), np.cos(ASIDE), 0], [0, 0, 1], [np.cos(ASIDE), np.sin(ASIDE), 0]])


@dataclass(frozen=True, eq=False)
class Person:
    """What was found: shape, stature [m], segments, measures (pose, measure), and one picture a pose."""

    shape: np.ndarray
    stature: float
    segments: tuple[Proportion, ...]
    measures: np.ndarray
    pictures: list[np.ndarray]


def main(
    folder: Path,
    people: Sequence[str] = PEOPLE,
    poses: tuple[str, ...] = tuple(POSES),
    workers: int = 2,
):
    """Pose everyone, write Dataset and figures, and return the Dataset."""
    if workers > 1:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            found = list(pool.map(measured, people, [poses] * len(people)))
    else:
        found = [measured(name, poses) for name in people]
    result = table(people, poses, found)
    kp.write(result, folder / "body_poses.nc")
    plotting.save_figure(figure(result), folder / "body_poses.png")
    plotting.save_figure(page(result, [one.pictures for one in found]), folder / "people.png", DPI)
    report(result)
    print(f"written: {folder}/body_poses.nc, body_poses.png, people.png")
    return result


def rig_rotations(body: LinearBody, pose: str) -> np.ndarray:
    """Rotation vectors (K, 3) [rad] of a pose; knees bend about the left perpendicular to the thigh."""
    turns, at = np.zeros((len(body.parents), 3)), body.joint_template
    for name, degrees in POSES[pose].items():
        joint, _, side = name.rpartition("_")
        if name in BENT:
            names = ("upperleg", "lowerleg") if joint == "knee" else ("upperarm", "lowerarm", "wrist")
            index = [body.joint_index(f"{each}_{side}") for each in names]
            along = at[index[1]] - at[index[0]]
            axis = (
                np.array([0.0, 1.0, 0.0]) - along * along[1] / (along @ along)
                if joint == "knee"
                else np.cross(along, at[index[2]] - at[index[1]])
            )
            turns[index[1]] = np.radians(degrees) * axis / np.linalg.norm(axis)
        else:
            turns[body.joint_index(name)] = np.radians(degrees)
    return turns


def measured(name: str, poses: tuple[str, ...]) -> Person:
    """Measure one person's bones in every pose, each started from the body at rest."""
    body, skeleton, shape = default_body(), default_skeleton(), example_people()[name]
    rest = body.posed(shape)
    stature = float(np.ptp(rest.vertices[:, 2]))
    placed = placement_problem(skeleton).place(body, rest).placed
    problem = posing_problem(skeleton)
    subject = problem.subject(body, rest, placed)
    rows, pictures = [], []
    for pose in poses:
        target = body.posed(shape, rig_rotations(body, pose))
        started = time.process_time()
        (solved,) = problem.frames(subject, [target])
        seconds = time.process_time() - started
        skin = body.mesh(target)
        quality = skeleton_quality(solved.placed, skin)
        rows.append(
            [
                *(quality.inside_percent, quality.beyond_percent, quality.trunk_protrusion_mm),
                protrusion_without_kneecaps(solved.placed, skin),
                *(quality.hard_gap_mm, quality.loose_gap_mm, float(solved.converged), seconds),
            ]
        )
        pictures.append(drawn(solved.placed, skin))
    skin_marks = {mark: rest.vertices[vertex] for mark, vertex in body.landmarks.items()}
    segments = proportions(placed_geometry(placed, skin_marks), stature)
    return Person(shape, stature, segments, np.array(rows), pictures)


def drawn(placed: PlacedSkeleton, skin: Mesh) -> np.ndarray:
    """Picture (rows, columns, 3) of bones in the skin, from the front and aside; the lowest row first."""
    bones = joined([placed.part_mesh(part) for part in placed.skeleton.parts])
    seen = np.vstack([skin.vertices, bones.vertices]) @ VIEW[:2].T
    columns, rows = np.ceil(np.ptp(seen, axis=0) / PIXEL).astype(int) + 2
    return picture(View(VIEW, seen.min(0) - PIXEL, (int(rows), int(columns)), PIXEL), skin, bones)


def protrusion_without_kneecaps(placed: PlacedSkeleton, skin: Mesh) -> float:
    """How far [mm] bones stick out, without hands, feet and the bones that glide."""
    gliding = {glide.bone for glide in placed.skeleton.gliding}
    names = [
        bone.name
        for bone in placed.skeleton.bones
        if bone.part.partition("_")[0] not in ENDS and bone.name not in gliding
    ]
    heights = Envelope(skin).signed_distances(joined([placed.bone_mesh(name) for name in names]).vertices)
    return 1e3 * max(float(heights.max()), 0.0)


def table(people: Sequence[str], poses: tuple[str, ...], found: list[Person]) -> xr.Dataset:
    """Measures by person and pose, segments by person."""
    values = np.array([one.measures for one in found])
    outside = [[segment.outside for segment in one.segments] for one in found]
    return xr.Dataset(
        {
            name: (("person", "pose"), values[:, :, i], {"units": units, "long_name": text})
            for i, (name, (units, text)) in enumerate(MEASURES.items())
        }
        | {
            "outside_published": (
                ("person", "segment"),
                outside,
                {"units": "percent", "long_name": "longer (+) or shorter (-) than in all sources, adults"},
            )
        },
        {
            "person": list(people),
            "pose": list(poses),
            "segment": [segment.segment for segment in found[0].segments],
            "stature": ("person", [one.stature for one in found], {"units": "m"}),
            "shape": (
                ("person", "component"),
                [one.shape for one in found],
                {"units": "standard deviations"},
            ),
        },
        {"title": __doc__.splitlines()[0]},
    )


def report(result: xr.Dataset) -> None:
    """Print the worst person of each pose, the worst pose of each person, and how long segments are."""
    print(f"{result.sizes['person']} people; of every pose the worst person (and the mean)")
    print_measures(result, "pose", "person")
    print("of every person the worst pose (and the mean)")
    print_measures(result, "person", "pose")
    child = result.person.str.contains("10 years")
    print("segments, % longer (+) or shorter (-) than in all sources, which are of adults: from, to")
    print(f"{'':40s}{'adults':>16s}{'children':>16s}")
    for segment in result.segment.values:
        outside = result.outside_published.sel(segment=segment)
        groups = [outside[~child], outside[child]]
        cells = [f"{float(g.min()):+.1f}, {float(g.max()):+.1f}" if g.size else "" for g in groups]
        print(f"{segment:40s}" + "".join(f"{cell:>16s}" for cell in cells))


def print_measures(result: xr.Dataset, by: str, over: str) -> None:
    """Print one line for every pose or person: the worst of the others, and their mean."""
    heads = ("inside %", "> 2 mm out %", "out mm", "no kneecaps", "hard gap", "loose gap", "found", "s")
    print(f"{'':24s}" + "".join(f"{head:>14s}" for head in heads))
    for name in result[by].values:
        one = result.sel({by: name})
        cells = [f"{float(one.inside.min()):.1f} ({float(one.inside.mean()):.1f})"]
        for measure in ("beyond", "protrusion", "protrusion_without_kneecaps"):
            cells.append(f"{float(one[measure].max()):.1f} ({float(one[measure].mean()):.1f})")
        cells += [f"{float(one.hard_gap.max()):.4f}", f"{float(one.loose_gap.max()):.1f}"]
        cells += [f"{int(one.converged.sum())} of {one.sizes[over]}", f"{float(one.seconds.mean()):.1f}"]
        print(f"{name:24s}" + "".join(f"{cell:>14s}" for cell in cells))


def figure(result: xr.Dataset) -> Figure:
    """One dot a person: area outside the skin, and how far bones stick out, with and without kneecaps."""
    drawing = Figure(figsize=(10, 4.4), layout="constrained")
    area, out = drawing.subplots(1, 2, sharey=True)
    rows = np.arange(result.sizes["pose"])
    for row, pose in zip(rows, result.pose.values, strict=True):
        one = result.sel(pose=pose)
        area.plot(
            100 - one.inside, np.full(one.sizes["person"], row), "o", ms=5, alpha=0.6, color=LINE, mew=0
        )
        for shift, (name, colour) in zip((-0.14, 0.14), COLOURS.items(), strict=True):
            place = np.full(one.sizes["person"], row + shift)
            out.plot(one[name], place, "o", ms=5, alpha=0.6, color=colour, mew=0)
    area.axvline(100 - LEAST_INSIDE, color=LINE, lw=1, ls="--")
    out.axvline(MOST_PROTRUSION, color=LINE, lw=1, ls="--", label="a report warns beyond this")
    for text, colour in zip(("with kneecaps", "without kneecaps"), COLOURS.values(), strict=True):
        out.plot([], [], "o", color=colour, label=text)
    area.set_yticks(rows, [str(pose) for pose in result.pose.values])
    area.invert_yaxis()
    area.set_xlabel("area of the bones outside the skin [%]")
    out.set_xlabel("farthest out, without hands and feet [mm]")
    for ax in (area, out):
        ax.set_xlim(left=0)
        ax.grid(axis="y", lw=0.4, color="#DDDDDD")
    plotting.unframed(area, out)
    drawing.legend(
        *out.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=9
    )
    drawing.suptitle(f"Bones against the skin: {result.sizes['person']} people, one dot each", fontsize=11)
    return drawing


def page(result: xr.Dataset, pictures: list[list[np.ndarray]]) -> Figure:
    """Everyone in every pose, all in one scale: a column a person, a row a pose."""
    widths = [GAP + max(one.shape[1] for one in person) for person in pictures]
    heights = [GAP + max(one.shape[0] for one in pose) for pose in zip(*pictures, strict=True)]
    right, top = np.cumsum(widths), np.cumsum(heights[::-1])[::-1]  # of every column and row
    canvas = np.ones((top[0], right[-1], 3))
    for person, end, width in zip(pictures, right, widths, strict=True):
        for one, height, above in zip(person, heights, top, strict=True):
            low, left = above - height, end - (width + one.shape[1]) // 2
            canvas[low : low + one.shape[0], left : left + one.shape[1]] = one
    size = np.array([canvas.shape[1] + MARGIN, canvas.shape[0] + MARGIN])
    drawing = Figure(figsize=tuple(size / DPI))
    ax = drawing.add_axes((MARGIN / size[0], 0, *(1 - MARGIN / size)))
    ax.imshow(canvas, origin="lower", extent=(0, right[-1], 0, top[0]))
    ax.set_axis_off()
    for name, end, width in zip(result.person.values, right, widths, strict=True):
        ax.text(end - width / 2, top[0] + GAP, name.replace(", ", "\n"), ha="center", va="bottom", fontsize=9)
    for name, above, height in zip(result.pose.values, top, heights, strict=True):
        ax.text(-GAP, above - height / 2, name, ha="right", va="center", rotation=90, fontsize=9)
    return drawing


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("out/body_poses"))
    main(parser.parse_args().output)
