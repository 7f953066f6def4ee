"""Chain files: YAML in, :class:`~kinepose_ocp.chain.Chain` out, and back."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from kinepose_ocp.chain import Chain, Dof, Joint, Link, Quaternion, Site, Vector
from kinepose_ocp.coupling_data import coupled_data, with_coupled_data
from kinepose_ocp.errors import ModelError, possible
from kinepose_ocp.shipped import chain_path, couplings_path
from kinepose_ocp.yaml_file import SCHEMA, Strict, checked, parse_yaml, read_yaml, yaml_text

AXES = ("x", "y", "z", "-x", "-y", "-z")
NAME = r"^[^.\s]+$"


# ---- what a chain file may say ---------------------------------------------------------------
_Bound = Annotated[float, Field(allow_inf_nan=True)]  # .inf: no limit on that side


class _Dof(Strict):
    name: str = Field(pattern=NAME)
    rotation: Vector | None = None
    translation: Vector | None = None
    rom: tuple[_Bound, _Bound] | None = None
    locked: bool = False
    rest: float = 0.0


class _Joint(Strict):
    name: str = Field(pattern=NAME)
    parent: str | None
    offset: Vector = (0.0, 0.0, 0.0)
    orientation: Quaternion = (1.0, 0.0, 0.0, 0.0)
    dofs: list[_Dof] = Field(default=[])


class _Site(Strict):
    joint: str
    offset: Vector = (0.0, 0.0, 0.0)


class _Frame(Strict):
    forward: str = "x"
    left: str = "y"
    up: str = "z"


Accepted = Literal["locked", "rest"]  # what is unusual in a coupled range on purpose


class _Cone(Strict):
    name: str = Field(pattern=NAME)
    joint: str
    axis: Vector
    first: Vector
    center: Vector | None = None
    swing: tuple[float, float]
    twist: tuple[float, float] | None = None
    source: str = Field(min_length=3)
    accept: list[Accepted] = Field(default=[])


class _Coupling(Strict):
    name: str = Field(pattern=NAME)
    weights: dict[str, float] = Field(min_length=1)
    limits: tuple[_Bound, _Bound]
    source: str = Field(min_length=3)
    accept: list[Accepted] = Field(default=[])


class _CoupledFile(Strict):
    schema_: int = Field(alias="schema")
    description: str = ""
    cones: list[_Cone] = Field(default=[])
    couplings: list[_Coupling] = Field(default=[])


class _ChainFile(Strict):
    schema_: int = Field(alias="schema")
    name: str
    description: str = ""
    source: str = Field(min_length=3)
    frame: _Frame = _Frame()
    joints: list[_Joint] = Field(min_length=1)
    keypoints: dict[str, _Site] = Field(min_length=1)
    links: list[Any] = Field(default=[])  # checked one by one: a union of tuples explains its refusals badly
    layouts: dict[str, dict[str, str | list[str]]] = Field(default={})
    cones: list[_Cone] = Field(default=[])
    couplings: list[_Coupling] = Field(default=[])


# ---- reading -------------------------------------------------------------------------------------
def load_chain(name: str | Path) -> Chain:
    """Load a chain by the name of a shipped one, or from a YAML file.

    Raises
    ------
    ModelError
        With file, place, what was given and what is possible.
    """
    path = chain_path(name)
    return chain_from_data(read_yaml(path), str(path))


def chain_from_yaml(text: str, place: str = "chain text") -> Chain:
    """Load a chain from YAML text; ``place`` names it in errors."""
    return chain_from_data(parse_yaml(text, place), place)


def chain_from_data(data: Any, place: str) -> Chain:
    """Make a checked :class:`Chain` of the parsed content of a chain file."""
    wanted = "a chain file is a mapping with 'schema', 'name', 'joints', ..."
    given = checked(data, _ChainFile, place, wanted)
    _check_frame(given.frame, place)
    joints = _parents_first([_joint(joint, place) for joint in given.joints], place)
    names = {joint.name for joint in joints}
    for point, site in given.keypoints.items():
        if site.joint not in names:
            raise ModelError(
                f"{place}: keypoints.{point}: no joint '{site.joint}'; {possible(site.joint, sorted(names))}"
            )
    links = tuple(_link(link, i, given.keypoints, place) for i, link in enumerate(given.links))
    for layout, mapping in given.layouts.items():
        for point, targets in mapping.items():
            for target in [targets] if isinstance(targets, str) else targets:
                if target not in given.keypoints:
                    raise ModelError(
                        f"{place}: layouts.{layout}.{point}: no keypoint '{target}'; "
                        f"{possible(target, given.keypoints)}"
                    )
    chain = Chain(
        name=given.name,
        source=given.source,
        description=given.description,
        frame=given.frame.model_dump(),
        joints=joints,
        keypoints={name: Site(site.joint, site.offset) for name, site in given.keypoints.items()},
        links=links,
        layouts=given.layouts,
    )
    return with_coupled_data(chain, given.model_dump(), place)


# ---- coupled ranges of motion --------------------------------------------------------------------
def load_couplings(name: str | Path, chain: Chain) -> Chain:
    """Add coupled ranges of motion to a chain: those of a shipped file by its name, or of a YAML file.

    Raises
    ------
    ModelError
        With file, place, what was given and what is possible.
    """
    path = couplings_path(name)
    data, wanted = read_yaml(path), "a file of coupled ranges has 'schema: 1' and 'cones' or 'couplings'"
    given = checked(data, _CoupledFile, str(path), wanted)
    if not (given.cones or given.couplings):
        raise ModelError(f"{path}: {wanted}")
    return with_coupled_data(chain, given.model_dump(), str(path))


def _joint(given: _Joint, place: str) -> Joint:
    where = f"{place}: joint '{given.name}'"
    norm = math.hypot(*given.orientation)
    if abs(norm - 1) > 1e-4:
        raise ModelError(
            f"{where}: orientation {list(given.orientation)} is not a unit quaternion (norm {norm:.6g})"
        )
    w, x, y, z = (value / norm for value in given.orientation)
    names: set[str] = set()
    for dof in given.dofs:
        if dof.name in names:
            raise ModelError(f"{where}: two DOFs are named '{dof.name}'; names must be unique in a joint")
        names.add(dof.name)
    dofs = tuple(_dof(dof, f"{where}, dof '{dof.name}'") for dof in given.dofs)
    return Joint(given.name, given.parent, given.offset, (w, x, y, z), dofs)


def _dof(given: _Dof, where: str) -> Dof:
    if (given.rotation is None) == (given.translation is None):
        raise ModelError(f"{where}: give either 'rotation: [x, y, z]' or 'translation: [x, y, z]'")
    axis = given.rotation if given.rotation is not None else given.translation
    assert axis is not None
    norm = math.hypot(*axis)
    if abs(norm - 1) > 1e-4:
        raise ModelError(f"{where}: axis {list(axis)} has length {norm:.6g}; it must be a unit vector")
    x, y, z = (value / norm for value in axis)
    lower, upper = given.rom if given.rom is not None else (-math.inf, math.inf)
    if math.isnan(lower) or math.isnan(upper):
        raise ModelError(f"{where}: rom [{lower:g}, {upper:g}] is not a pair of numbers")
    if lower > upper:
        raise ModelError(f"{where}: rom [{lower:g}, {upper:g}] has its lower limit above its upper one")
    if not lower - 1e-9 <= given.rest <= upper + 1e-9:
        if "rest" in given.model_fields_set or given.locked:
            raise ModelError(f"{where}: rest {given.rest:g} is outside its rom [{lower:g}, {upper:g}]")
    rest = min(max(given.rest, lower), upper)
    plain = Dof(given.name, (x, y, z), translates=given.translation is not None, locked=given.locked)
    return Dof(
        plain.name,
        plain.axis,
        plain.translates,
        plain.from_user_unit(lower),
        plain.from_user_unit(upper),
        plain.locked,
        plain.from_user_unit(rest),
    )


def _link(given: Any, index: int, keypoints: dict[str, _Site], place: str) -> Link:
    where = f"{place}: links[{index}]"
    pair = given[:2] if isinstance(given, list) and len(given) in (2, 3) else []
    if not pair or not all(isinstance(point, str) for point in pair):
        raise ModelError(f"{where}: a link is [from, to] or [from, to, weight], found {given!r}")
    start, end, weight = given if len(given) == 3 else (*given, 1.0)
    for point in (start, end):
        if point not in keypoints:
            raise ModelError(f"{where}: no keypoint '{point}'; {possible(point, keypoints)}")
    if start == end:
        raise ModelError(f"{where}: '{start}' is linked with itself")
    if keypoints[start] == keypoints[end]:
        raise ModelError(f"{where}: '{start}' and '{end}' are at the same place: the link has no direction")
    if not isinstance(weight, (int, float)) or not 0 <= weight < math.inf:
        raise ModelError(f"{where}: weight {weight!r} is not a number from 0 up")
    return Link(start, end, float(weight))


def _parents_first(joints: list[Joint], place: str) -> tuple[Joint, ...]:
    """Order the joints so that each comes after its parent; exactly one root, no cycle."""
    by_name: dict[str, Joint] = {}
    for joint in joints:
        if joint.name in by_name:
            raise ModelError(f"{place}: two joints are named '{joint.name}'; names must be unique")
        by_name[joint.name] = joint
    roots = [joint.name for joint in joints if joint.parent is None]
    if len(roots) != 1:
        found = f"{len(roots)}: {', '.join(roots) or 'none'}"
        raise ModelError(f"{place}: exactly one joint has 'parent: null'; found {found}")
    for joint in joints:
        if joint.parent is not None and joint.parent not in by_name:
            raise ModelError(
                f"{place}: joint '{joint.name}': no parent joint '{joint.parent}'; "
                f"{possible(joint.parent, by_name)}"
            )
    ordered: list[Joint] = []
    placed: set[str | None] = {None}
    waiting = list(joints)
    while waiting:
        ready = [joint for joint in waiting if joint.parent in placed]
        if not ready:
            cycle = ", ".join(joint.name for joint in waiting)
            raise ModelError(f"{place}: joints {cycle} form a cycle of parents")
        ordered += ready
        placed |= {joint.name for joint in ready}
        waiting = [joint for joint in waiting if joint.name not in placed]
    listed = {joint.name: i for i, joint in enumerate(joints)}
    if all(joint.parent is None or listed[joint.parent] < listed[joint.name] for joint in joints):
        return tuple(joints)
    return tuple(ordered)


def _check_frame(frame: _Frame, place: str) -> None:
    axes = [frame.forward, frame.left, frame.up]
    found = ", ".join(axes)
    for axis in axes:
        if axis not in AXES:
            raise ModelError(f"{place}: frame: '{axis}' is no axis; possible: {', '.join(AXES)}")
    order = ["xyz".index(axis[-1]) for axis in axes]
    if len(set(order)) < 3:
        raise ModelError(f"{place}: frame: forward, left and up must be three different axes, found {found}")
    even = order in ([0, 1, 2], [1, 2, 0], [2, 0, 1])
    if even == (sum(axis.startswith("-") for axis in axes) % 2 == 1):  # rotations would be mirrored
        raise ModelError(f"{place}: frame: forward, left, up = {found} is left-handed; turn one sign")


# ---- writing -------------------------------------------------------------------------------------
def chain_to_yaml(chain: Chain) -> str:
    """Return the chain as the text of a chain file; loading it gives the same chain."""
    data: dict[str, Any] = {"schema": SCHEMA, "name": chain.name, "description": chain.description}
    data |= {"source": chain.source, "frame": dict(chain.frame)}
    data["joints"] = [_joint_data(joint) for joint in chain.joints]
    data["keypoints"] = {
        name: {"joint": site.joint} | ({"offset": _numbers(site.offset)} if any(site.offset) else {})
        for name, site in chain.keypoints.items()
    }
    data["links"] = [
        [link.start, link.end] + ([link.weight] if link.weight != 1 else []) for link in chain.links
    ]
    if chain.layouts:
        data["layouts"] = {layout: dict(mapping) for layout, mapping in chain.layouts.items()}
    data |= coupled_data(chain, _numbers)
    return yaml_text(data)


def _joint_data(joint: Joint) -> dict[str, Any]:
    data: dict[str, Any] = {"name": joint.name, "parent": joint.parent, "offset": _numbers(joint.offset)}
    if joint.orientation != (1.0, 0.0, 0.0, 0.0):
        data["orientation"] = _numbers(joint.orientation)
    data["dofs"] = []
    for dof in joint.dofs:
        item: dict[str, Any] = {"name": dof.name}
        item["translation" if dof.translates else "rotation"] = _numbers(dof.axis)
        if math.isfinite(dof.lower) or math.isfinite(dof.upper):
            item["rom"] = _numbers([dof.in_user_unit(dof.lower), dof.in_user_unit(dof.upper)])
        if dof.locked:
            item["locked"] = True
        if dof.rest:
            item["rest"] = _numbers([dof.in_user_unit(dof.rest)])[0]
        data["dofs"].append(item)
    return data


def _numbers(values: Any) -> list[float]:
    """Shortest decimals that keep 13 digits; no minus zero."""
    return [float(f"{value:.13g}") + 0.0 for value in values]
