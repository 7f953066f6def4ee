"""The skeleton of a body surface, as the command line finds it: bones, chain, report and picture.

The mesh is one of the open body's people in a step, feet apart and arms swinging. It is written as a file
first, so that this is what happens to any mesh.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from kinepose_ocp import cli
from kinepose_ocp.surface import example_people, open_body, write_mesh
from kinepose_ocp.surface.orientation import MeshFrame
from kinepose_ocp.surface.surfaces import UPS

FRAME = MeshFrame("centimetres", UPS["y"])  # x left, y up, z forward, as graphics programs
PERSON = "woman, 30 years, light"
STEP_DEG = {  # rotation vectors; x forward, y left, z up
    "upperleg_left": (0, -28, 0),
    "lowerleg_left": (0, 14, 0),
    "upperleg_right": (0, 16, 0),
    "lowerleg_right": (0, 24, 0),
    "upperarm_left": (-22, 18, 0),
    "upperarm_right": (22, -18, 0),
    "spine02": (0, 0, 8),
}


def main(folder: Path) -> dict:
    """Write the mesh beside the new ``folder``, and what is found into it; return the report."""
    body = open_body()
    rotations = np.zeros((len(body.parents), 3))
    for name, degrees in STEP_DEG.items():
        rotations[body.joint_index(name)] = np.radians(degrees)
    source = folder.with_name(folder.name + "_body.ply")
    mesh = body.mesh(body.posed(example_people()[PERSON], rotations))
    write_mesh(mesh.with_vertices(FRAME.to_mesh(mesh.vertices)), source)
    try:
        cli.main(["skeleton", str(source), "-o", str(folder)])
    except SystemExit as end:
        if end.code:
            raise
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("out/skeleton"))
    main(parser.parse_args().output)
