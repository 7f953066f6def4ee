"""The command line ``kinepose-ocp``: files in, files out, one clear line when something is wrong."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
import xarray as xr
from rich.console import Console
from rich.table import Table

import kinepose_ocp as kp
from kinepose_ocp import cases, evaluate, evaluation_report, plotting, study_file
from kinepose_ocp.dataset import AT_LOWER, AT_UPPER
from kinepose_ocp.errors import KineposeError, SolveError
from kinepose_ocp.handedness import seems_mirrored
from kinepose_ocp.io import WRITERS
from kinepose_ocp.io.atomic import check_place
from kinepose_ocp.keypoints import check_size
from kinepose_ocp.models_command import chosen_chain, models
from kinepose_ocp.solve_motion import AUTOMATIC, solve_motion
from kinepose_ocp.surface import command
from kinepose_ocp.terminal import INTERRUPTED, INTERRUPTION, counting, ends_at_once, fail, note, progress

LIMIT_MISSED, UNUSABLE, NOT_CONVERGED = 1, 2, 3

app = typer.Typer(
    name="kinepose-ocp",
    help="Joint angles, orientations and angular velocities of a whole motion from 3D keypoints.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(models, name="models")


class Mode(enum.StrEnum):
    """How frames are solved."""

    motion = "motion"
    frame = "frame"


class Lengths(enum.StrEnum):
    """Where segment lengths come from."""

    estimate = "estimate"
    model = "model"


class Picture(enum.StrEnum):
    """What a figure shows."""

    angles = "angles"
    frames = "frames"


class Up(enum.StrEnum):
    """Axis of a mesh that points up."""

    auto = "auto"
    z = "z"
    y = "y"


class Solver(enum.StrEnum):
    """Solvers of the whole-motion program."""

    ipopt = "ipopt"
    sqp = "sqp"
    newton = "newton"


@app.command()
def solve(
    keypoints: Annotated[Path, typer.Argument(help="Measured points: .txt .npz .csv .nc .trc; metres")],
    model: Annotated[str, typer.Option(help="Chain: name of a shipped one, or a .yaml file")] = "fullbody",
    layout: Annotated[
        str | None, typer.Option(help="Names and order of the points; without it, names are the chain's own")
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Sampling rate [Hz], where the file has none")] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="Result, NetCDF")] = Path("motion.nc"),
    smoothness: Annotated[
        str,
        typer.Option(
            help="auto: noise and liveliness chosen from the data; or a number: standard deviation of joint "
            "accelerations [degree/s2], of velocities 0.1 s of it"
        ),
    ] = AUTOMATIC,
    solver: Annotated[Solver, typer.Option(help="Solver of the program")] = Solver.ipopt,
    mode: Annotated[
        Mode, typer.Option(help="The whole motion as one program, or frame by frame for comparison")
    ] = Mode.motion,
    lengths: Annotated[
        Lengths, typer.Option(help="Segment lengths from the data, or the chain's own")
    ] = Lengths.estimate,
    couplings: Annotated[
        str | None,
        typer.Option(help="Coupled ranges of motion to add to the chain: name of shipped ones, or a file"),
    ] = None,
    sensitivities: Annotated[
        bool,
        typer.Option(
            "--sensitivities", help="Add what angles owe to ROM limits, segment lengths and keypoint noise"
        ),
    ] = False,
) -> None:
    """Solve a motion: keypoints in, joint angles and orientations out."""
    strength = _smoothness(smoothness)
    _check_output(output, (".nc",), keypoints)
    chain = chosen_chain(model, couplings)
    points = kp.read_keypoints(keypoints, layout=layout, chain=chain, rate=rate)
    check_size(points, chain, str(keypoints))
    method = f"frame:{solver}" if mode is Mode.frame else str(solver)
    try:
        with ends_at_once(), progress(f"solving {points.sizes['time']} frames") as tick:
            motion = solve_motion(
                chain,
                points,
                lengths=str(lengths),
                smoothness=strength,
                solver=method,
                with_sensitivities=sensitivities,
                on_iteration=tick,
            )
    except SolveError as error:
        if error.motion is None:
            raise
        kp.write(error.motion, output)
        raise SolveError(f"{error}; its last iterate is in {output}, converged = 0", error.motion) from None
    kp.write(motion, output)
    if ignored := points.attrs.get("ignored_keypoints"):
        note(f"points that chain '{chain.name}' does not have are ignored: {ignored}")
    if seems_mirrored(chain, points):
        note("the points look like a mirror image: left and right swapped, or axes that are left-handed")
    if reason := motion.attrs.get("no_sensitivities"):
        note(f"no sensitivities: {reason}")
    _summarise(motion, output)


@app.command()
def plot(
    motion: Annotated[Path, typer.Argument(help="Result of solve, .nc")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Figure: .png .pdf .svg")],
    show: Annotated[
        Picture, typer.Option(help="Joint angles with their ROMs, or stick figures of key frames")
    ] = Picture.angles,
    truth: Annotated[Path | None, typer.Option(help="True motion to draw beside it, .nc")] = None,
) -> None:
    """Draw joint angles with their ranges of motion, or stick figures."""
    _check_output(output, (".png", ".pdf", ".svg"))
    data = kp.read_motion(motion)
    if show is Picture.frames:
        figure = plotting.plot_key_frames(data)[0]
    else:
        figure = plotting.plot_joint_angles(data, truth=None if truth is None else kp.read_motion(truth))[0]
    plotting.save_figure(figure, output)


@app.command()
def animate(
    motion: Annotated[Path, typer.Argument(help="Result of solve, .nc")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Clip: .gif, or .mp4 with ffmpeg")],
    fps: Annotated[float | None, typer.Option(help="Pictures per second")] = None,
) -> None:
    """Animate the skeleton over the measured points, at real speed."""
    _check_output(output, (".gif", ".mp4"))
    plotting.animate(kp.read_motion(motion), output, fps)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="Keypoints or motion")],
    target: Annotated[Path, typer.Argument(help="File to write; its ending says the format")],
    layout: Annotated[str | None, typer.Option(help="Names and order of the points of a .txt file")] = None,
    rate: Annotated[float | None, typer.Option(help="Sampling rate [Hz], where the file has none")] = None,
) -> None:
    """Convert keypoints from one format to another, by file ending."""
    _check_output(target, tuple(WRITERS))
    kp.write(kp.read_keypoints(source, layout=layout, rate=rate), target)


@app.command("evaluate")
def evaluate_cases(
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder of report, table and figures")
    ] = Path("out/evaluate"),
    quick: Annotated[bool, typer.Option("--quick", help="A few small cases: less than 40 s")] = False,
    data: Annotated[
        Path | None, typer.Option(help="Folder of measured clips (.npz, schema kinepose-mocap-1) to add")
    ] = None,
    baseline: Annotated[
        bool, typer.Option("--baseline", help="Add SLSQP frame by frame, as published, on straight limbs")
    ] = False,
    names: Annotated[
        list[str] | None, typer.Option("--cases", help="Name of a case; give it again, or a,b, for more")
    ] = None,
) -> None:
    """Evaluate accuracy on boundary cases; exit status 1 when a stated limit is missed."""
    check_place(output / "report.html")
    chosen = [name for given in names or () for name in given.split(",")] or (cases.QUICK if quick else ())
    with Console(stderr=True).status("evaluating") as status:
        result = evaluate.evaluate(
            chosen, data=data, baseline=baseline, on_row=lambda row: status.update(f"evaluated {row.case}")
        )
    evaluation_report.write_report(result, output, " ".join(["kinepose-ocp", *sys.argv[1:]]))
    print(f"{evaluation_report.summary_line(result)}\nwritten: {output}/report.html, table.md, evaluation.nc")
    if evaluate.missed(result):
        raise typer.Exit(LIMIT_MISSED)


@app.command()
def sweep(
    study: Annotated[
        Path, typer.Argument(help="Study: what varies and how, .yaml; see studies/rom_sweep.yaml")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Result, NetCDF")] = Path("sweep.nc"),
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes of this machine, instead of what the study says")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(help="Keep each finished case here; the same command goes on where it was stopped"),
    ] = None,
) -> None:
    """Solve one motion with many numbers: ROM limits, locks, lengths, weights, noise."""
    _check_output(output, (".nc",), study)
    given = study_file.read_study(study)
    if folder is not None:
        check_place(folder / "case.nc")
    kept = "nothing was kept" if folder is None else f"finished cases are in {folder}"
    with ends_at_once(f"interrupted; {kept}"), counting(f"sweeping {len(given.design)} cases") as tick:
        problem = given.problem()
        swept = study_file.run_study(given, problem, workers=workers, folder=folder, on_case=tick)
    kp.write(swept, output)
    failed = int((swept.error != "").sum())
    print(f"cases: {swept.error.size}, without a solution: {failed}\nwritten: {output}")
    if failed == swept.error.size:
        raise SolveError(f"no case has a solution; 'error' in {output} says why")


@app.command()
def skeleton(
    body: Annotated[
        Path,
        typer.Argument(help="Surface of a body: .ply .obj .stl .off; or a sequence .npz (see below)"),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="New folder for the results")] = Path(
        "skeleton"
    ),
    body_model: Annotated[
        Path | None, typer.Option(help="SMPL (.npz .pkl) or STAR (.npz) model; the open body by default")
    ] = None,
    regressor: Annotated[
        Path | None, typer.Option(help="Proportions of bones: OSSO's betas_regressor_*.pkl (STAR), or .npz")
    ] = None,
    up: Annotated[Up, typer.Option(help="Axis of the mesh, or of meshes, that points up")] = Up.auto,
    landmarks: Annotated[
        Path | None, typer.Option(help="Where landmarks are on one mesh: .yaml lines 'name: [x, y, z]'")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Sampling rate of a sequence [Hz], where the file has none")
    ] = None,
) -> None:
    """Find the skeleton inside a body's surface, and the chain of its joints for solve.

    A sequence holds vertices (T, V, 3) and faces (F, 3), or poses of the body model: shape (S,), rotations
    (T, K, 3) as rotation vectors [rad] and translation (T, 3) [m]; and rate [Hz].
    """
    request = command.Request(body, output, body_model, str(up), landmarks, rate, regressor)
    with Console(stderr=True).status("reading") as status:
        subject, report = command.run(request, status.update)
    table = Table(show_header=False, box=None)
    table.add_row("frames", f"{len(subject.poses)}")
    table.add_row("stature", f"{subject.surfaces.stature:.3f} m")
    if fit := report.get("registration"):
        table.add_row("body to mesh", f"{fit['body_to_mesh_mean_mm']:.2f} mm in the mean")
    bones = report["bones"]
    table.add_row("bones inside the skin", f"{bones['inside_percent']:.1f} % of their area")
    table.add_row(
        "largest joint gap", f"{report['joints']['gap_of_loose_joints_mm']:.1f} mm (shoulder girdle)"
    )
    table.add_row("written", f"{output}/bones, skeleton.nc, subject.yaml, report.json, skeleton.png")
    Console(width=100).print(table)
    for warning in report["warnings"]:
        note(warning)


def _check_output(path: Path, endings: tuple[str, ...], source: Path | None = None) -> None:
    """Refuse a wrong ending or place before the work, not after it; and to replace the ``source``."""
    if path.suffix.lower() not in endings:
        options = ", ".join(endings)
        raise KineposeError(f"{path}: cannot write '{path.suffix}' files here; possible: {options}")
    check_place(path)
    if source is not None and path.resolve() == source.resolve():
        raise KineposeError(f"{path}: is the input; give the result another name with -o")


def _smoothness(given: str) -> float | str:
    """Read ``auto`` or a positive number."""
    try:
        number = float(given)
    except ValueError:
        number = np.nan
    if given == AUTOMATIC or 0 < number < np.inf:
        return AUTOMATIC if given == AUTOMATIC else number
    raise KineposeError(f"--smoothness must be 'auto' or a positive number [degree/s2], got {given}")


def _summarise(motion: xr.Dataset, output: Path) -> None:
    reached = motion.bound_state.isin([AT_LOWER, AT_UPPER]).any("time")
    table = Table(show_header=False, box=None)
    frames = motion.sizes["time"]
    seconds = float(motion.guess_seconds + motion.solve_seconds)
    table.add_row("frames", f"{frames}")
    table.add_row("mean link error", f"{float(motion.link_error.mean()):.2f} degree")
    if "keypoint_noise" in motion:
        table.add_row("noise of the points", f"{float(motion.keypoint_noise):.1f} mm")
    table.add_row("ROM limits reached", f"{int(reached.sum())} of {motion.sizes['dof']} DOFs")
    if "coupling_state" in motion:
        held = motion.coupling_state.any("time")
        table.add_row("coupled limits reached", f"{int(held.sum())} of {motion.sizes['coupling']}")
    table.add_row("iterations", f"{int(motion.solver_iterations)}")
    table.add_row("time", f"{seconds:.2f} s, {1000 * seconds / frames:.1f} ms a frame")
    table.add_row("written", str(output))
    Console(width=100).print(table)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit: 0 done, 1 limit missed, 2 unusable input, 3 not converged, 130 stopped."""
    command = typer.main.get_command(app)
    try:
        status = command.main(arguments, prog_name="kinepose-ocp", standalone_mode=False)
    except SolveError as error:
        fail(str(error), NOT_CONVERGED)
    except KineposeError as error:
        fail(str(error), UNUSABLE)
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED  # what newer versions of typer return
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        usage = error.format_message().replace("Value error, ", "")
        fail(f"{usage} (see kinepose-ocp --help)", UNUSABLE)
    if status == INTERRUPTED:
        fail(INTERRUPTION, INTERRUPTED)
    sys.exit(status if isinstance(status, int) else 0)
