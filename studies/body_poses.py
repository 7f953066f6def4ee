"""How much of the bones lies inside the skin, and how far do they stick out: seeded bodies in everyday poses.

Bodies of random shape get their bones standing as their rig does, and are then posed by rotations of the rig.
Blended skin collapses in deep bends, so that bones with true rotations leave it there; kneecaps do so first,
and are counted apart. The dashed lines in the figure are what `report.json` of a skeleton warns of.
"""

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import kinepose_ocp as kp
from kinepose_ocp import plotting
from kinepose_ocp.surface.body import LinearBody
from kinepose_ocp.surface.command import default_body, default_skeleton
from kinepose_ocp.surface.envelope import Envelope
from kinepose_ocp.surface.mesh import Mesh
from kinepose_ocp.surface.placed_skeleton import PlacedSkeleton
from kinepose_ocp.surface.placement import placement_problem
from kinepose_ocp.surface.posing import posing_problem
from kinepose_ocp.surface.quality import ENDS, skeleton_quality
from kinepose_ocp.surface.skeleton import joined
from kinepose_ocp.surface.skeleton_report import LEAST_INSIDE, MOST_PROTRUSION

BODIES, SEED = 12, 20
SPREAD, MOST, SIZE = 0.8, 1.8, (-1.0, 1.4)  # standard deviations of shapes; the first component is size


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


def main(folder: Path, bodies: int = BODIES, poses: tuple[str, ...] = tuple(POSES), workers: int = 2):
    """Pose every body, write Dataset and figure, and return the Dataset."""
    given = shapes(bodies)
    if workers > 1:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            found = list(pool.map(measured, given, [poses] * bodies))
    else:
        found = [measured(shape, poses) for shape in given]
    result = table(given, poses, found)
    kp.write(result, folder / "body_poses.nc")
    plotting.save_figure(figure(result), folder / "body_poses.png")
    report(result)
    print(f"written: {folder}/body_poses.nc, body_poses.png")
    return result


def shapes(count: int) -> np.ndarray:
    """Shapes (count, S) of random bodies; more of them begin with the same ones."""
    random, found = np.random.default_rng(SEED), []
    for _ in range(count):
        shape = np.clip(SPREAD * random.normal(size=default_body().shape_count), -MOST, MOST)
        shape[0] = random.uniform(*SIZE)
        found.append(shape)
    return np.array(found)


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


def measured(shape: np.ndarray, poses: tuple[str, ...]) -> np.ndarray:
    """Measures (pose, measure) of one body's bones in every pose, each started from the body at rest."""
    body, skeleton = default_body(), default_skeleton()
    rest = body.posed(shape)
    placed = placement_problem(skeleton).place(body, rest).placed
    problem = posing_problem(skeleton)
    subject = problem.subject(body, rest, placed)
    rows = []
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
    return np.array(rows)


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


def table(given: np.ndarray, poses: tuple[str, ...], found: list[np.ndarray]) -> xr.Dataset:
    """Measures by body and pose."""
    values, body = np.array(found), default_body()
    statures = [float(np.ptp(body.posed(shape).vertices[:, 2])) for shape in given]
    return xr.Dataset(
        {
            name: (("body", "pose"), values[:, :, i], {"units": units, "long_name": text})
            for i, (name, (units, text)) in enumerate(MEASURES.items())
        },
        {
            "body": np.arange(1, len(given) + 1),
            "pose": list(poses),
            "stature": ("body", statures, {"units": "m"}),
            "shape": (("body", "component"), given, {"units": "standard deviations"}),
        },
        {"title": __doc__.splitlines()[0], "seed": SEED},
    )


def report(result: xr.Dataset) -> None:
    """Print the worst body of each pose, beside means where these say more."""
    low, high, count = float(result.stature.min()), float(result.stature.max()), result.sizes["body"]
    print(f"{count} bodies of {low:.2f} to {high:.2f} m; of every pose the worst body (and the mean)")
    heads = ("inside %", "> 2 mm out %", "out mm", "no kneecaps", "hard gap", "loose gap", "found", "s")
    print(f"{'':14s}" + "".join(f"{head:>15s}" for head in heads))
    for pose in result.pose.values:
        one = result.sel(pose=pose)
        cells = [f"{float(one.inside.min()):.1f} ({float(one.inside.mean()):.1f})"]
        for name in ("beyond", "protrusion", "protrusion_without_kneecaps"):
            cells.append(f"{float(one[name].max()):.1f} ({float(one[name].mean()):.1f})")
        cells += [f"{float(one.hard_gap.max()):.4f}", f"{float(one.loose_gap.max()):.1f}"]
        cells += [f"{int(one.converged.sum())} of {one.sizes['body']}", f"{float(one.seconds.mean()):.1f}"]
        print(f"{pose:14s}" + "".join(f"{cell:>15s}" for cell in cells))


def figure(result: xr.Dataset) -> Figure:
    """One dot a body: area outside the skin, and how far bones stick out, with and without kneecaps."""
    drawing = Figure(figsize=(10, 4.4), layout="constrained")
    area, out = drawing.subplots(1, 2, sharey=True)
    rows = np.arange(result.sizes["pose"])
    for row, pose in zip(rows, result.pose.values, strict=True):
        one = result.sel(pose=pose)
        area.plot(100 - one.inside, np.full(one.sizes["body"], row), "o", ms=5, alpha=0.6, color=LINE, mew=0)
        for shift, (name, colour) in zip((-0.14, 0.14), COLOURS.items(), strict=True):
            place = np.full(one.sizes["body"], row + shift)
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
    drawing.suptitle(f"Bones against the skin: {result.sizes['body']} bodies, one dot each", fontsize=11)
    return drawing


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("out/body_poses"))
    main(parser.parse_args().output)
