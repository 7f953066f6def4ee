"""Are the predicted deviations honest? Shares of true errors within one and two of them.

Motions with known orientations get errors of known kinds; in default settings, nothing told. Honest
deviations hold 68 % and 95 % of the errors, where a frame's points show the joint and where they hide it (a
straight limb hides the twist above it). Beside synthetic motions, clips of measured ones: ``--data FOLDER``.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import kinepose_ocp as kp
from kinepose_ocp import clips, metrics, plotting
from kinepose_ocp.case_motions import estimator_points
from kinepose_ocp.synthetic import measure, random_motion
from kinepose_ocp.workers import mapped

ERRORS = {  # numbers of synthetic.measure [m]
    "5 mm white": {"noise": 0.005},
    "10 mm white": {"noise": 0.010},
    "10 mm white, 10 % missing": {"noise": 0.010, "missing": 0.1},
    "20 mm slow, 5 mm white": {"noise": 0.005, "drift": 0.020},
}
SEEDS = range(2200, 2206)
EXPECTED = {1: 68.3, 2: 95.4}  # percent
COLOURS = {"shown": "#0077BB", "hidden": "#EE7733"}


def main(
    folder: Path, data: Path | None = None, frames: int = 180, seeds=SEEDS, errors=ERRORS, workers: int = 2
):
    """Solve every motion with every kind of error; write figure and numbers to ``folder``."""
    sources = {"synthetic, straight limbs": [(seed, frames) for seed in seeds]}
    if data is not None:
        sources["measured clips"] = clips.clip_files(data)
    jobs = [
        (kind, motion, errors[error], error)
        for kind in sources
        for error in errors
        for motion in sources[kind]
    ]
    found = mapped(solved, [job[1:3] for job in jobs], workers)
    result = table(jobs, found, sources, list(errors))
    kp.write(result, folder / "coverage.nc")
    plotting.save_figure(figure(result), folder / "coverage.png")
    report(result)
    print(f"written: {folder}/coverage.nc, coverage.png")
    return result


def solved(motion: tuple[int, int] | Path, error: dict[str, float]) -> dict[str, np.ndarray]:
    """Sizes of errors in predicted deviations [1] of the joints that the points show, and of the others."""
    if isinstance(motion, Path):
        clip = clips.read_clip(motion)
        chain, truth = clip.chain, clip.truth.sel(joint=clip.judged)
        exact, seed = xr.Dataset({"keypoint_position": clip.keypoints.position}), 0
        points = None
    else:
        seed, frames = motion
        chain = kp.load_chain("imvip22")
        truth = exact = random_motion(chain, frames, 60, seed)
        points = estimator_points(chain)
    found = kp.solve_motion(chain, measure(exact, points, seed=seed, **error), lengths="model")
    return metrics.sizes_by_class(found, truth)


def table(jobs, found, sources, errors) -> xr.Dataset:
    """Shares [percent] pooled over all motions of a source, and how many errors there are."""
    classes = list(COLOURS)
    share = np.full((len(sources), len(errors), len(classes), len(EXPECTED)), np.nan)
    count = np.zeros(share.shape[:3], dtype=int)
    for s, source in enumerate(sources):
        for e, error in enumerate(errors):
            for c, name in enumerate(classes):
                own = [
                    part[name]
                    for job, part in zip(jobs, found, strict=True)
                    if (job[0], job[3]) == (source, error)
                ]
                size = np.concatenate(own)
                count[s, e, c] = len(size)
                share[s, e, c] = [metrics.within(size, d) for d in EXPECTED]
    dims = ("source", "error", "points")
    return xr.Dataset(
        {
            "share": (
                (*dims, "deviations"),
                share,
                {"units": "percent", "long_name": "errors within so many deviations"},
            ),
            "count": (dims, count, {"units": "1", "long_name": "number of errors, three a joint and frame"}),
        },
        {"source": list(sources), "error": errors, "points": classes, "deviations": list(EXPECTED)},
        {"title": __doc__.splitlines()[0], "seeds": f"{SEEDS.start} to {SEEDS.stop - 1}"},
    )


def report(result: xr.Dataset) -> None:
    """Print the table."""
    print(
        f"{'share of errors [%] within':58s}" + "".join(f"{d} deviation{'s' * (d > 1):7s}" for d in EXPECTED)
    )
    for source in result.source.values:
        for error in result.error.values:
            for name in result.points.values:
                one = result.sel(source=source, error=error, points=name)
                values = "".join(f"{value:8.1f}    " for value in one.share.values)
                print(f"{source:26s}{error:26s}{name:7s}{values} of {int(one['count'])}")


def figure(result: xr.Dataset) -> plt.Figure:
    """Shares by kind of error, one row a source."""
    drawing = plt.Figure(figsize=(9, 2.6 * result.sizes["source"] + 0.6), layout="constrained")
    rows = drawing.subplots(result.sizes["source"], len(EXPECTED), squeeze=False, sharex=True, sharey=True)
    place = np.arange(result.sizes["error"])
    for row, source in zip(rows, result.source.values, strict=True):
        for ax, (deviations, expected) in zip(row, EXPECTED.items(), strict=True):
            for i, (name, colour) in enumerate(COLOURS.items()):
                share = result.share.sel(source=source, points=name, deviations=deviations)
                label = f"joints that a frame's points {'show' if name == 'shown' else 'hide'}"
                ax.barh(place + 0.4 * i - 0.2, share, 0.36, color=colour, label=label)
            ax.axvline(expected, color="#222222", lw=1, ls="--", label=f"honest: {expected:.0f} %")
            ax.set_title(f"{source}: within {deviations} deviation{'s' * (deviations > 1)}", fontsize=9)
            ax.set_yticks(place, result.error.values)
            ax.set_xlim(0, 100)
            plotting.unframed(ax)
    rows[0, 0].invert_yaxis()
    for ax in rows[-1]:
        ax.set_xlabel("share of errors [%]")
    handles, labels = rows[0, 0].get_legend_handles_labels()
    order = [labels.index(label) for label in labels if "honest" not in label] + [
        labels.index("honest: 68 %")
    ]
    drawing.legend(
        [handles[i] for i in order],
        [*(labels[i] for i in order[:-1]), "honest: 68 % and 95 %"],
        loc="outside lower center",
        ncols=3,
        frameon=False,
        fontsize=8,
    )
    return drawing


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("out/coverage"))
    parser.add_argument("--data", type=Path, help="folder of measured clips (.npz, schema kinepose-mocap-1)")
    arguments = parser.parse_args()
    main(arguments.output, arguments.data)
