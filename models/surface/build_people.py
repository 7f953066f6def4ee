"""Twelve people with a name: which shapes of the open body are those of some sex, age and weight.

Years and statures as anny's calibration has them (made for the statures of the World Health Organization),
muscle, weight and proportions on MakeHuman's scales, lengths of segments drawn to published ones
(``build_proportions.py``). A person's shape is the best fit of the linear body.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import ptloader
import trimesh
from build_body import Skin, Source, best_shapes, rig
from build_measures import Amounts
from build_proportions import drawn

SEXES = {"girls": ("girl", "woman", 1.0), "boys": ("boy", "man", 0.0)}  # child, adult, anny's gender
GROUPS = {"girls": "women", "boys": "men"}  # of adults, in published proportions
YEARS = (10, 30, 70)
WEIGHTS = {"light": 0.1, "heavy": 1.0}  # the ends of the random bodies
MUSCLE, PROPORTIONS = 0.3, 0.5  # with more muscle, MakeHuman's heaviest bodies have little fat
ADULT = 18  # years
DENSITY = 1000.0  # kg/m3


def phenotype(source: Source, sex: str, years: float, weight: float) -> dict[str, float]:
    """Return a person on anny's scales; the stature is the mean of those of this age."""
    calibration = ptloader.load(str(source.folder / f"data/shape_calibration/{sex}.pth"))
    ages, heights = calibration["morphological_age_mapping"], calibration["conditional_height_distribution"]
    age = np.interp(years, ages["morphological_age_anchors"], ages["anny_age_anchors"])
    alpha, beta = (
        np.interp(age, heights["age_anchors"], heights[f"{name}_anchors"]) for name in ("alpha", "beta")
    )
    return {
        "gender": SEXES[sex][2],
        "age": float(age),
        "muscle": MUSCLE,
        "weight": weight,
        "height": float(alpha / (alpha + beta)),  # mean of a beta distribution
        "proportions": PROPORTIONS,
    }


def proportioned(
    source: Source, skin: Skin, body: dict[str, np.ndarray], person: dict[str, float], group: str
) -> Amounts:
    """Amounts of the measures of someone, whose segments are then about as long as published of a group."""
    vertices, joints = source.posed(person)
    marks = dict(zip(body["landmark_names"].tolist(), body["landmark_vertices"].tolist(), strict=True))

    def changed(amounts: Amounts) -> tuple[np.ndarray, dict, dict]:
        moved, centres = source.measures.applied(vertices, joints, amounts)
        outer = skin.of(moved)
        places = {name: outer[vertex] for name, vertex in marks.items()}
        return outer, dict(zip(source.joints, centres, strict=True)), places

    return drawn(changed, group)


def labelled_people(source: Source, skin: Skin, body: dict[str, np.ndarray]) -> tuple[dict, list[str]]:
    """Return the arrays ``people_names`` and ``people_shapes`` of ``body.npz``, and a line on each person."""
    shapes, lines = {}, []
    numbers = [source.joints.index(name) for name in rig().values()]
    for years, sex, (word, weight) in product(YEARS, SEXES, WEIGHTS.items()):
        name = f"{SEXES[sex][years >= ADULT]}, {years} years, {word}"
        person = phenotype(source, sex, years, weight)
        group = GROUPS[sex] if years >= ADULT else "children"
        amounts = proportioned(source, skin, body, person, group)
        vertices, joints = source.posed(person, amounts)
        wanted = skin.of(vertices) - joints[0]
        centres = joints[numbers] - joints[0]
        scores, errors = best_shapes(body, wanted[None], centres[None])
        stature = float(np.ptp(wanted[:, 2]))
        mass = DENSITY * trimesh.Trimesh(wanted, body["faces"], process=False).volume
        shapes[name] = scores[0].astype("f4")
        lines.append(
            f"{name:23} {stature:.3f} m, {mass:5.1f} kg, {mass / stature**2:.1f} kg/m2; "
            f"error {errors.mean():.2f} mm mean, {errors.max():.1f} mm at most; "
            + ", ".join(f"{each} {amount:+.2f}" for each, amount in amounts.items())
        )
    return {"people_names": np.array(list(shapes)), "people_shapes": np.array(list(shapes.values()))}, lines
