"""Study files: YAML that says which numbers of a problem vary, and how; read, checked and run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import xarray as xr
from pydantic import Field

from kinepose_ocp import designs
from kinepose_ocp.chain import Chain
from kinepose_ocp.chain_file import load_chain
from kinepose_ocp.designs import Design
from kinepose_ocp.errors import DataError, KineposeError, possible
from kinepose_ocp.io import read_keypoints
from kinepose_ocp.keypoints import check_rate
from kinepose_ocp.problem import Problem
from kinepose_ocp.solve_motion import tuned_problem
from kinepose_ocp.sweep import KEPT, CaseProgress, sweep
from kinepose_ocp.workers import executor
from kinepose_ocp.yaml_file import Strict, checked, parse_yaml, read_text


# ---- what a study file may say ---------------------------------------------------------------
class _Factor(Strict):
    range: tuple[float, float] | None = None
    values: list[float] | None = Field(default=None, min_length=1)


class _Design(Strict):
    kind: Literal["grid", "latin_hypercube", "sobol", "morris"]
    size: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, ge=0)
    unstack: bool = False


class _StudyFile(Strict):
    schema_: int = Field(alias="schema")
    keypoints: str
    model: str = "fullbody"
    layout: str | None = None
    rate: float | None = None
    seconds: tuple[float, float] | None = None
    lengths: Literal["estimate", "model"] = "estimate"
    factors: dict[str, _Factor] = Field(min_length=1)
    design: _Design
    keep: list[str] = Field(default=list(KEPT), min_length=1)
    solver: Literal["ipopt", "sqp", "newton"] = "ipopt"
    workers: int = Field(default=1, ge=1)
    scheduler: str | None = None


@dataclass(frozen=True)
class Study:
    """A checked study: the problem that it makes of a file, and the design of its sweep."""

    place: str
    text: str
    given: _StudyFile
    keypoints: Path
    chain: Chain
    design: Design

    def problem(self) -> Problem:
        """Read the keypoints and build the problem, with noise and weights chosen from them.

        Raises
        ------
        KineposeError
            For keypoints that cannot be used.
        """
        given = self.given
        points = read_keypoints(self.keypoints, layout=given.layout, chain=self.chain, rate=given.rate)
        if given.seconds is not None:
            first, last = float(points.time[0]), float(points.time[-1])
            points = points.sel(time=slice(*given.seconds))
            if not points.sizes["time"]:
                raise DataError(
                    f"{self.place}: seconds {list(given.seconds)} hold no frame; "
                    f"{self.keypoints} has {first:g} to {last:g} s"
                )
        return tuned_problem(self.chain, points, lengths=given.lengths)


def read_study(path: Path) -> Study:
    """Read and check a study file; its other files are looked for beside it.

    Raises
    ------
    KineposeError
        With file, place, what was given and what is possible.
    """
    place, text = str(path), read_text(path)
    data = parse_yaml(text, place)
    wanted = "a study is a mapping with 'schema', 'keypoints', 'factors', 'design', ..."
    given = checked(data, _StudyFile, place, wanted, DataError)
    if given.seconds is not None and not given.seconds[0] < given.seconds[1]:
        raise DataError(f"{place}: seconds {list(given.seconds)} must have its start before its end")
    if given.workers > 1 and given.scheduler is not None:
        raise DataError(f"{place}: give either workers or a scheduler")
    keypoints = path.parent / given.keypoints
    if not keypoints.is_file():
        found = sorted(each.name for each in keypoints.parent.glob("*")) if keypoints.parent.is_dir() else []
        raise DataError(f"{place}: keypoints: no such file '{keypoints}'; {possible(keypoints.name, found)}")
    if given.rate is not None:
        check_rate(given.rate, f"{place}: rate")
    beside = path.parent / given.model
    chain = load_chain(beside if given.model.endswith((".yaml", ".yml")) else given.model)
    try:
        design = _design(given.design, given.factors)
        design.check(chain)
    except KineposeError as error:
        raise type(error)(f"{place}: {error}") from None
    return Study(place, text, given, keypoints, chain, design)


def run_study(
    study: Study,
    problem: Problem,
    *,
    workers: int | None = None,
    folder: Path | None = None,
    on_case: CaseProgress | None = None,
) -> xr.Dataset:
    """Sweep a study's problem over its design.

    Parameters
    ----------
    workers
        Processes, instead of what the study says.
    folder, on_case
        As for :func:`sweep.sweep`.

    Returns
    -------
    xarray.Dataset
        The sweep with the factors' values as coordinates; one dimension a factor for an unstacked grid. The
        attribute ``study_yaml`` is the study file's text.

    Raises
    ------
    KineposeError
        For factors or kept variables that the problem does not have.
    SolveError
        When the problem with its own numbers has no solution.
    """
    given = study.given
    scheduler = given.scheduler if workers is None else None
    try:
        cases = study.design.cases(problem)
        with executor(workers or given.workers, scheduler) as pool:
            found = sweep(
                problem,
                cases,
                solver=given.solver,
                kept=given.keep,
                executor=pool,
                folder=folder,
                on_case=on_case,
            )
    except KineposeError as error:
        raise type(error)(f"{study.place}: {error}") from None
    labelled = study.design.unstacked(found) if given.design.unstack else study.design.labelled(found)
    return labelled.assign_attrs(study_yaml=study.text)


def _design(given: _Design, factors: Mapping[str, _Factor]) -> Design:
    """The design of factors that have what its kind needs."""
    wanted = "values" if given.kind == "grid" else "range"
    levels: dict[str, Any] = {}
    for name, factor in factors.items():
        levels[name] = getattr(factor, wanted)
        if levels[name] is None or len(factor.model_fields_set) != 1:
            raise DataError(f"factors.{name}: a {given.kind} design needs '{wanted}' of it, and no more")
    if given.kind == "grid":
        if given.size is not None:
            raise DataError("design.size: a grid has as many cases as its factors' values make")
        return designs.grid(levels, given.seed)
    if given.unstack:
        raise DataError(f"design.unstack: a {given.kind} design has no dimensions to unstack; possible: grid")
    if given.size is None:
        raise DataError(f"design.size: a {given.kind} design needs one")
    return designs.SAMPLED[given.kind](levels, given.size, given.seed)
