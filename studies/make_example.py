"""Write the bundled example, ``models/examples/walk_throw.csv`` and its truth, again.

A walk that ends in a throw (`kinepose_ocp.walk_throw`), measured at the 17 points of Human3.6M with
5 mm white noise and 10 mm slow drift. Usage: ``python studies/make_example.py [FOLDER]``.
"""

import sys
from pathlib import Path

from kinepose_ocp.chain_file import load_chain
from kinepose_ocp.io import write
from kinepose_ocp.layouts import load_layout
from kinepose_ocp.synthetic import measure
from kinepose_ocp.walk_throw import walk_throw

EXAMPLES = Path(__file__).parent.parent / "models" / "examples"


def main(folder: Path) -> None:
    chain = load_chain("fullbody")
    truth = walk_throw(chain)
    points = [keypoint for targets in load_layout("h36m17", chain).targets.values() for keypoint in targets]
    keypoints = measure(truth, points, noise=0.005, drift=0.010, seed=17)
    keypoints["position"] = keypoints["position"].round(4)  # m; files of pose detectors hold no more
    write(keypoints, folder / "walk_throw.csv")
    small = {name: values.astype("float32") for name, values in truth.items() if values.dtype == "float64"}
    write(truth.assign(small), folder / "walk_throw_truth.nc")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else EXAMPLES)
