"""Inputs that the command line must refuse: what is asked, which file is wrong, and what it must say.

Every case runs in a folder with the good files of :func:`write_good_inputs`; ``make`` adds the bad one.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kinepose_ocp.chain_file import chain_from_yaml
from kinepose_ocp.io import write
from kinepose_ocp.synthetic import measure, true_motion

RATE = 25.0  # Hz
LEG = """\
schema: 1
name: leg
source: made up for the tests
joints:
  - name: pelvis
    parent: null
    dofs:
      - {name: x, translation: [1, 0, 0]}
      - {name: y, translation: [0, 1, 0]}
      - {name: z, translation: [0, 0, 1]}
      - {name: rotation, rotation: [0, 0, 1]}
      - {name: tilt, rotation: [0, 1, 0]}
  - name: hip
    parent: pelvis
    offset: [0, -0.09, 0]
    dofs:
      - {name: flexion, rotation: [0, -1, 0], rom: [-20, 120]}
      - {name: adduction, rotation: [1, 0, 0], rom: [-45, 30]}
  - name: knee
    parent: hip
    offset: [0, 0, -0.42]
    dofs:
      - {name: flexion, rotation: [0, 1, 0], rom: [0, 140]}
      - {name: twist, rotation: [0, 0, 1], rom: [-10, 10], locked: true, rest: 5}
  - name: ankle
    parent: knee
    offset: [0, 0, -0.41]
keypoints:
  pelvis: {joint: pelvis}
  spine: {joint: pelvis, offset: [0, 0, 0.5]}
  hip: {joint: hip}
  knee: {joint: knee}
  ankle: {joint: ankle}
links:
  - [pelvis, spine]
  - [pelvis, hip]
  - [hip, knee]
  - [knee, ankle]
"""
NAMES = ["pelvis", "spine", "hip", "knee", "ankle"]


def leg_motion(frames: int = 8):
    """A step of the leg, forward and with the knee bending."""
    time = np.arange(frames) / RATE
    angles = {
        "pelvis.x": time,
        "pelvis.tilt": 5 * np.sin(3 * time),
        "hip.flexion": 30 + 20 * np.sin(4 * time),
        "knee.flexion": 60 - 40 * np.sin(4 * time),
    }
    return true_motion(chain_from_yaml(LEG), angles, RATE)


def write_good_inputs(folder: Path) -> None:
    """Write leg.yaml and its keypoints as leg.csv, leg.nc and leg.npz, and the true motion true.nc."""
    (folder / "leg.yaml").write_text(LEG)
    motion = leg_motion()
    keypoints = measure(motion)
    write(keypoints, folder / "leg.csv")
    write(keypoints, folder / "leg.nc")
    np.savez(folder / "leg.npz", position=keypoints.position.values, names=np.array(NAMES), rate=RATE)
    write(motion, folder / "true.nc")


# ---- ways to spoil a file ----------------------------------------------------------------------
def nothing(folder: Path) -> None:
    """The files are in order; what is asked of them is not."""


def text(name: str, content: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(content) and None


def data(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


def folder_named(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).mkdir()


def half(source: str, name: str) -> Callable[[Path], None]:
    """Cut off the second half of a file."""

    def make(folder: Path) -> None:
        content = (folder / source).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])

    return make


def archive(**change) -> Callable[[Path], None]:
    """Write bad.npz: leg.npz with other arrays; a function changes one, None removes it."""

    def make(folder: Path) -> None:
        with np.load(folder / "leg.npz") as good:
            arrays = dict(good)
        for name, value in change.items():
            arrays[name] = value(arrays[name]) if callable(value) else value
        np.savez(folder / "bad.npz", **{name: value for name, value in arrays.items() if value is not None})

    return make


def table(line: int, edit: Callable[[str], str]) -> Callable[[Path], None]:
    """Write bad.csv: leg.csv with one line changed (1 is the header), or all of them (0)."""

    def make(folder: Path) -> None:
        lines = (folder / "leg.csv").read_text().splitlines()
        lines = [edit(content) if line in (0, i) else content for i, content in enumerate(lines, start=1)]
        (folder / "bad.csv").write_text("\n".join(lines) + "\n")

    return make


def chain(old: str, new: str) -> Callable[[Path], None]:
    """Write bad.yaml: leg.yaml with a part replaced."""
    assert LEG.count(old) == 1, old
    return text("bad.yaml", LEG.replace(old, new))


def at(index: tuple, value: float) -> Callable[[np.ndarray], np.ndarray]:
    """Put a value into a copy of an array."""

    def change(array: np.ndarray) -> np.ndarray:
        array = array.copy()
        array[index] = value
        return array

    return change


# ---- what must be refused ------------------------------------------------------------------------
@dataclass(frozen=True)
class Bad:
    """A command line, the one line that it must print after its name, and how to make the bad file."""

    command: str
    says: str
    make: Callable[[Path], None] = nothing

    @property
    def arguments(self) -> list[str]:
        return shlex.split(self.command)


def solve(keypoints: str, says: str, make: Callable[[Path], None] = nothing, options: str = "") -> Bad:
    return Bad(f"solve {keypoints} --model leg.yaml -o out.nc {options}", says, make)


def model(
    says: str, make: Callable[[Path], None] = nothing, name: str = "bad.yaml", options: str = ""
) -> Bad:
    return Bad(f"solve leg.csv --model {name} -o out.nc {options}", says, make)


def drop_time(line: str) -> str:
    return line.partition(",")[2]


def in_column(column: int, value: str) -> Callable[[str], str]:
    """Put a value into a cell of a line (0 is time)."""

    def edit(line: str) -> str:
        cells = line.split(",")
        return ",".join([*cells[:column], value, *cells[column + 1 :]])

    return edit


ALL_LOCKED = LEG.replace("]}\n      -", "], locked: true}\n      -").replace(
    "]}\n  -", "], locked: true}\n  -"
)
TRANSLATIONS = LEG[LEG.index("      - {name: x") : LEG.index("      - {name: rotation")]
STANDING = LEG.replace(TRANSLATIONS, "")  # a root that does not translate: links are compared
USAGE = " (see kinepose-ocp --help)"

FILES = {
    "no such file": solve("log.csv", "log.csv: no such file; did you mean 'leg.csv'?"),
    "no such folder": solve("data/leg.csv", "data/leg.csv: no such file: there is no folder 'data'"),
    "a folder": solve(
        "clip.nc",
        "clip.nc: is a folder; give a file ending in .csv, .nc, .npz, .trc, .txt",
        folder_named("clip.nc"),
    ),
    "wrong ending": solve(
        "leg.docx",
        "leg.docx: cannot read files ending in '.docx'; possible: .csv, .nc, .npz, .trc, .txt",
        text("leg.docx", "time,hip_x,hip_y,hip_z"),
    ),
    "empty csv": solve("bad.csv", "bad.csv: the file is empty", text("bad.csv", "")),
    "empty nc": solve(
        "bad.nc", "bad.nc: not a readable NetCDF file: NetCDF: Unknown file format", data("bad.nc", b"")
    ),
    "empty npz": solve(
        "bad.npz", "bad.npz: not a readable .npz archive: No data left in file", data("bad.npz", b"")
    ),
    "truncated nc": solve(
        "bad.nc", "bad.nc: not a readable NetCDF file: NetCDF: HDF error", half("leg.nc", "bad.nc")
    ),
    "truncated npz": solve(
        "bad.npz", "bad.npz: not a readable .npz archive: File is not a zip file", half("leg.npz", "bad.npz")
    ),
    "pickles": solve(
        "bad.npz",
        "bad.npz: not a readable .npz archive: Object arrays cannot be loaded when allow_pickle=False",
        archive(position=lambda position: position.astype(object)),
    ),
    "not text": solve("bad.csv", "bad.csv: not a text file (byte 0 is not UTF-8)", data("bad.csv", b"\xff")),
    "not a number": solve(
        "bad.csv", "bad.csv: line 4, column 5: 'n.a.' is not a number", table(4, in_column(4, "n.a."))
    ),
    "a short line": solve("bad.csv", "bad.csv: line 3: 20 cells, but the header has 21", table(3, drop_time)),
    "duplicate columns": solve(
        "bad.csv",
        "bad.csv: line 1: columns must be unique; there more than once: knee_x, knee_y, knee_z, knee_c",
        table(1, lambda line: line.replace("hip", "knee")),
    ),
    "unknown column": solve(
        "bad.csv",
        "bad.csv: line 1: unknown column 'time [s]'; the header is time,NAME_x,NAME_y,NAME_z,[NAME_c],... "
        "separated by commas",
        table(1, in_column(0, "time [s]")),
    ),
    "time that goes back": solve(
        "bad.csv",
        "bad.csv: time must increase; frame 3 is at 0.01 s after 0.04 s",
        table(4, in_column(0, "0.01")),
    ),
    "time missing": solve(
        "bad.csv", "bad.csv: time of frame 3 is not a finite number", table(4, in_column(0, ""))
    ),
    "no frame": solve("bad.csv", "bad.csv: there is no frame", table(0, lambda line: line * ("hip" in line))),
    "wrong number of rows": solve(
        "bad.txt",
        "bad.txt: 18 rows are not a multiple of the 17 points of layout 'h36m17'",
        text("bad.txt", "0 0 0\n" * 18),
        "--rate 25",
    ),
    "wrong number of points": solve(
        "bad.npz",
        "bad.npz: position has shape (8, 5, 3); 17 names need (frames, 17, 3)",
        archive(names=None),
        "--layout h36m17",
    ),
    "wrong number of names": solve(
        "bad.npz",
        "bad.npz: position has shape (8, 5, 3); 4 names need (frames, 4, 3)",
        archive(names=np.array(NAMES[:4])),
    ),
    "duplicate names": solve(
        "bad.npz",
        "bad.npz: keypoint names must be unique; given more than once: hip",
        archive(names=np.array(["hip", "knee", "ankle", "hip", "spine"])),
    ),
    "no names": solve(
        "bad.npz",
        "bad.npz: no array 'names'; needed: position, names, rate; found: position, rate",
        archive(names=None),
    ),
    "unknown layout": solve(
        "leg.npz", "no layout 'h36m71'; did you mean 'h36m17'?", options="--layout h36m71"
    ),
    "all missing": solve(
        "bad.npz",
        "bad.npz: no usable point: every position is missing (NaN) or has confidence 0",
        archive(position=lambda position: np.nan * position),
    ),
    "all without confidence": solve(
        "bad.npz",
        "bad.npz: no usable point: every position is missing (NaN) or has confidence 0",
        archive(confidence=np.zeros((8, 5))),
    ),
    "confidence in percent": solve(
        "bad.npz",
        "bad.npz: confidence 90 of 'pelvis' at 0 s is outside 0..1",
        archive(confidence=np.full((8, 5), 90.0)),
    ),
    "infinite": solve(
        "bad.npz",
        "bad.npz: position of 'hip' at 0.04 s is infinite; NaN means missing",
        archive(position=at((1, 2, 0), np.inf)),
    ),
    "a motion for keypoints": solve(
        "true.nc", "true.nc: no variable 'position'; did you mean 'root_position'?"
    ),
}
RATES = {
    "no rate": solve(
        "bad.npz", "bad.npz: has no sampling rate; give it with --rate (Hz)", archive(rate=None)
    ),
    "no rate in a table": solve(
        "bad.csv", "bad.csv: has no sampling rate; give it with --rate (Hz)", table(0, drop_time)
    ),
    "rate zero": solve(
        "leg.npz",
        "leg.npz: a sampling rate of 0 Hz is not possible; it must be above 0",
        options="--rate 0",
    ),
    "rate negative": solve(
        "leg.npz",
        "leg.npz: a sampling rate of -25 Hz is not possible; it must be above 0",
        options="--rate -25",
    ),
    "rate nan": solve(
        "leg.csv",
        "leg.csv: a sampling rate of nan Hz is not possible; it must be above 0",
        options="--rate nan",
    ),
    "rate zero in the file": solve(
        "bad.npz", "bad.npz: a sampling rate of 0 Hz is not possible; it must be above 0", archive(rate=0.0)
    ),
    "another rate": solve(
        "leg.npz",
        "leg.npz: the file is sampled at 25 Hz, but the rate given is 30 Hz",
        options="--rate 30",
    ),
    "other times": solve(
        "leg.csv",
        "leg.csv: the file is sampled at 25 Hz, but the rate given is 30 Hz",
        options="--rate 30",
    ),
    "rate in words": solve(
        "leg.csv",
        "Invalid value for '--rate': Input should be a valid number, unable to parse string as a number"
        + USAGE,
        options="--rate fast",
    ),
}
FITTING = {
    "millimetres": solve(
        "bad.npz",
        "bad.npz: looks like millimetres; positions are in metres: divide by 1000 (distances "
        "between points are 1e+03 times those of chain 'leg')",
        archive(position=lambda position: 1000 * position),
    ),
    "centimetres": solve(
        "bad.npz",
        "bad.npz: looks like centimetres; positions are in metres: divide by 100 (distances between "
        "points are 100 times those of chain 'leg')",
        archive(position=lambda position: 100 * position),
    ),
    "all in one place": solve(
        "bad.npz",
        "bad.npz: in every frame all points coincide; no distance between them is above 0",
        archive(position=np.ones((8, 5, 3))),
    ),
    "too few keypoints": solve(
        "bad.npz",
        "bad.npz: too few keypoints to pose chain 'leg': 2 of its 5 are measured (pelvis, spine); "
        "at least 3 are needed",
        archive(position=at((slice(None), slice(2, None)), np.nan)),
    ),
    "too few known names": solve(
        "bad.npz",
        "bad.npz: too few keypoints to pose chain 'leg': 2 of its 5 are measured (pelvis, spine); "
        "at least 3 are needed; the chain does not have Hip, Knee, Ankle",
        archive(names=np.array(["pelvis", "spine", "Hip", "Knee", "Ankle"])),
    ),
    "no common names": solve(
        "bad.npz",
        "bad.npz: no point in common with chain 'leg': the points are a, b, c, d, e; the keypoints "
        "of the chain are pelvis, spine, hip, knee, ankle",
        archive(names=np.array(list("abcde"))),
    ),
    "no link measured": model(
        "no link of chain 'leg' has both its keypoints measured; measured are pelvis, spine, hip, "
        "knee, ankle; the links are none",
        text("bad.yaml", STANDING.partition("links:")[0]),
        options="--smoothness 2000",
    ),
    "a joint of no length": model(
        "chain 'leg': link pelvis-hip has no direction: both keypoints are at the same place of "
        "joint 'pelvis'; remove the link, or give one of them an offset",
        text("bad.yaml", STANDING.replace("[0, -0.09, 0]", "[0, 0, 0]")),
        options="--smoothness 2000",
    ),
    "all locked": model(
        "chain 'leg' has no free DOF: all are locked; unlock at least one", text("bad.yaml", ALL_LOCKED)
    ),
}
CHAINS = {
    "unknown chain": model(
        "no chain 'fulbody': neither a .yaml file nor a shipped chain; did you mean 'fullbody'?",
        name="fulbody",
    ),
    "no such chain file": model("no.yaml: cannot be read: No such file or directory", name="no.yaml"),
    "a folder for a chain": model("bad.yaml: cannot be read: Is a directory", folder_named("bad.yaml")),
    "empty chain": model(
        "bad.yaml: a chain file is a mapping with 'schema', 'name', 'joints', ...; found nothing",
        text("bad.yaml", ""),
    ),
    "no YAML": model(
        "bad.yaml: line 3: not valid YAML: expected ',' or ']', but got ':'",
        chain("name: leg\n", "name: [leg\n"),
    ),
    "duplicate key": model(
        'bad.yaml: line 3: found duplicate key "name" with value "arm" (original value: "leg"); '
        "give each key once",
        chain("name: leg\n", "name: leg\nname: arm\n"),
    ),
    "another schema": model("bad.yaml: schema is 2; possible: 1", chain("schema: 1", "schema: 2")),
    "no source": model(
        "bad.yaml: source: is required and missing", chain("source: made up for the tests\n", "")
    ),
    "unknown key": model(
        "bad.yaml: joints[1] ('hip').dofs[1] ('adduction').range: unknown key; possible: name, rotation, "
        "translation, rom, locked, rest",
        chain("rom: [-45, 30]", "range: [-45, 30]"),
    ),
    "inverted rom": model(
        "bad.yaml: joint 'hip', dof 'flexion': rom [120, -20] has its lower limit above its upper one",
        chain("[-20, 120]", "[120, -20]"),
    ),
    "rom of no number": model(
        "bad.yaml: joint 'hip', dof 'flexion': rom [nan, 120] is not a pair of numbers",
        chain("[-20, 120]", "[.nan, 120]"),
    ),
    "rest outside": model(
        "bad.yaml: joint 'knee', dof 'twist': rest 50 is outside its rom [-10, 10]",
        chain("rest: 5", "rest: 50"),
    ),
    "no unit axis": model(
        "bad.yaml: joint 'hip', dof 'flexion': axis [0.0, -1.0, 1.0] has length 1.41421; it must be "
        "a unit vector",
        chain("[0, -1, 0]", "[0, -1, 1]"),
    ),
    "a cycle": model(
        "bad.yaml: joints knee, ankle form a cycle of parents", chain("parent: hip\n", "parent: ankle\n")
    ),
    "two roots": model(
        "bad.yaml: exactly one joint has 'parent: null'; found 2: pelvis, knee",
        chain("parent: hip\n", "parent: null\n"),
    ),
    "unknown parent": model(
        "bad.yaml: joint 'knee': no parent joint 'hips'; did you mean 'hip'?",
        chain("parent: hip\n", "parent: hips\n"),
    ),
    "duplicate joint": model(
        "bad.yaml: two joints are named 'knee'; names must be unique", chain("name: ankle", "name: knee")
    ),
    "keypoint on no joint": model(
        "bad.yaml: keypoints.hip: no joint 'hop'; did you mean 'hip'?",
        chain("hip: {joint: hip}", "hip: {joint: hop}"),
    ),
    "link to no keypoint": model(
        "bad.yaml: links[3]: no keypoint 'heel'; possible: pelvis, spine, hip, knee, ankle",
        chain("[knee, ankle]", "[knee, heel]"),
    ),
    "link to itself": model(
        "bad.yaml: links[3]: 'knee' is linked with itself", chain("[knee, ankle]", "[knee, knee]")
    ),
    "link of no length": model(
        "bad.yaml: links[1]: 'pelvis' and 'hip' are at the same place: the link has no direction",
        chain("hip: {joint: hip}", "hip: {joint: pelvis}"),
    ),
    "left-handed frame": model(
        "bad.yaml: frame: forward, left, up = x, -y, z is left-handed; turn one sign",
        chain("name: leg\n", "name: leg\nframe: {forward: x, left: -y, up: z}\n"),
    ),
    "millimetre chain": model(
        "leg.csv: positions are in metres, but distances between points are 0.0012 times those of "
        "chain 'leg'; possible: 0.2 to 5 times",
        chain("[0, 0, -0.42]", "[0, 0, -420]"),
    ),
}
OPTIONS = {
    **{
        f"smoothness {value}": solve(
            "leg.csv",
            f"--smoothness must be 'auto' or a positive number [degree/s2], got {value}",
            options=f"--smoothness {value}",
        )
        for value in ("0", "-1", "nan", "inf")
    },
    "unknown solver": solve(
        "leg.csv",
        "Invalid value for '--solver': 'snopt' is not one of 'ipopt', 'sqp', 'newton'." + USAGE,
        options="--solver snopt",
    ),
    "unknown mode": solve(
        "leg.csv",
        "Invalid value for '--mode': 'all' is not one of 'motion', 'frame'." + USAGE,
        options="--mode all",
    ),
    "unknown lengths": solve(
        "leg.csv",
        "Invalid value for '--lengths': 'mine' is not one of 'estimate', 'model'." + USAGE,
        options="--lengths mine",
    ),
    "unknown option": solve("leg.csv", "No such option: --quiet" + USAGE, options="--quiet"),
    "unknown command": Bad("slove leg.csv", "No such command 'slove'. Did you mean 'solve'?" + USAGE),
    "no command": Bad("", "Missing command." + USAGE),
    "no argument": Bad("solve", "Missing argument 'keypoints'." + USAGE),
    "an argument too many": solve(
        "leg.csv", "Got unexpected extra argument(s) (leg.npz)" + USAGE, options="leg.npz"
    ),
    "no output": Bad("plot true.nc", "Missing option '-o' / '--output'." + USAGE),
}
OUTPUTS = {
    "wrong ending of the result": Bad(
        "solve leg.csv --model leg.yaml -o out.txt", "out.txt: cannot write '.txt' files here; possible: .nc"
    ),
    "result in the place of the input": Bad(
        "solve leg.nc --model leg.yaml -o ./leg.nc",
        "leg.nc: is the input; give the result another name with -o",
    ),
    "result inside a file": Bad(
        "solve leg.csv --model leg.yaml -o leg.csv/new/out.nc",
        "leg.csv/new/out.nc: cannot be written: Not a directory",
    ),
    "result in the place of a folder": Bad(
        "solve leg.csv --model leg.yaml -o clip.nc",
        "clip.nc: cannot be written: Is a directory",
        folder_named("clip.nc"),
    ),
    "result in a device": Bad(
        "convert leg.csv null.csv",
        "null.csv: cannot be written: Not a regular file",
        lambda folder: (folder / "null.csv").symlink_to("/dev/null"),
    ),
    "result where nothing can be": Bad(
        "convert leg.csv /proc/out.csv", "/proc/out.csv: cannot be written: No such file or directory"
    ),
    "wrong ending of the figure": Bad(
        "plot true.nc -o out.bmp", "out.bmp: cannot write '.bmp' files here; possible: .png, .pdf, .svg"
    ),
    "wrong ending of the clip": Bad(
        "animate true.nc -o out.avi", "out.avi: cannot write '.avi' files here; possible: .gif, .mp4"
    ),
    "wrong ending of the copy": Bad(
        "convert leg.csv out.npz", "out.npz: cannot write '.npz' files here; possible: .csv, .nc"
    ),
}
MOTIONS = {
    "plot of keypoints": Bad(
        "plot leg.nc -o out.png",
        "leg.nc: not a motion: no variable 'joint_angle'; its variables: position, confidence",
    ),
    "clip of keypoints": Bad(
        "animate leg.nc -o out.gif",
        "leg.nc: not a motion: no variable 'joint_angle'; its variables: position, confidence",
    ),
    "plot of a table": Bad(
        "plot leg.csv -o out.png", "leg.csv: cannot read files ending in '.csv'; possible: .nc"
    ),
    "keypoints for the truth": Bad(
        "plot true.nc -o out.png --truth leg.nc",
        "leg.nc: not a motion: no variable 'joint_angle'; its variables: position, confidence",
    ),
    "no pictures a second": Bad(
        "animate true.nc -o out.gif --fps 0", "fps is 0 Hz; possible: a positive number"
    ),
    "table of a motion": Bad(
        "convert true.nc out.csv", "true.nc: no variable 'position'; did you mean 'root_position'?"
    ),
    "unknown chain to show": Bad(
        "models show imvip",
        "no chain 'imvip': neither a .yaml file nor a shipped chain; did you mean 'imvip22'?",
    ),
    "bad chain to check": Bad(
        "models check bad.yaml",
        "bad.yaml: joint 'hip', dof 'flexion': rom [120, -20] has its lower limit above its upper one",
        chain("[-20, 120]", "[120, -20]"),
    ),
}
GROUPS = (FILES, RATES, FITTING, CHAINS, OPTIONS, OUTPUTS, MOTIONS)
BAD_INPUTS = {name: bad for group in GROUPS for name, bad in group.items()}
assert len(BAD_INPUTS) == sum(map(len, GROUPS)), "two cases have one name"
