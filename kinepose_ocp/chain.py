"""The kinematic chain: joints, degrees of freedom, keypoints and links as frozen values.

Angles are radians and lengths metres inside; the ``with_...`` methods and the chain files
(:mod:`kinepose_ocp.chain_file`) speak degrees.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from kinepose_ocp.coupled_ranges import CoupledRange, SwingTwistCone, Vector, limit_refusal, refusal
from kinepose_ocp.errors import ModelError, possible

Quaternion = tuple[float, float, float, float]  # w, x, y, z


@dataclass(frozen=True)
class Dof:
    """One degree of freedom: a rotation about, or a translation along, a unit axis.

    ``lower``, ``upper`` (the range of motion) and ``rest`` are in radians, or metres for a
    translation. A locked one stays at ``rest``: the DOF mask.
    """

    name: str
    axis: Vector
    translates: bool = False
    lower: float = -math.inf
    upper: float = math.inf
    locked: bool = False
    rest: float = 0.0

    def in_user_unit(self, value: float) -> float:
        """Return ``value`` [rad or m] in degrees, or in metres for a translation."""
        return value if self.translates else math.degrees(value)

    def from_user_unit(self, value: float) -> float:
        """Return ``value`` [degrees or m] in radians, or in metres for a translation."""
        return float(value) if self.translates else math.radians(value)


@dataclass(frozen=True)
class Joint:
    """A joint: where its frame sits in its parent's at rest, and its DOFs in intrinsic order."""

    name: str
    parent: str | None
    offset: Vector = (0.0, 0.0, 0.0)  # m, in the parent's joint frame
    orientation: Quaternion = (1.0, 0.0, 0.0, 0.0)
    dofs: tuple[Dof, ...] = ()


@dataclass(frozen=True)
class Site:
    """Where a keypoint sits: a joint and an offset [m] in that joint's frame."""

    joint: str
    offset: Vector = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Link:
    """A direction between two keypoints, with the weight [1] of its squared residual."""

    start: str
    end: str
    weight: float = 1.0


@dataclass(frozen=True)
class Chain:
    """A tree of joints with keypoints on it. Joints are ordered parents first."""

    name: str
    source: str
    joints: tuple[Joint, ...]
    keypoints: Mapping[str, Site]
    links: tuple[Link, ...] = ()
    description: str = ""
    frame: Mapping[str, str] = field(default_factory=lambda: {"forward": "x", "left": "y", "up": "z"})
    layouts: Mapping[str, Mapping[str, str | list[str]]] = field(default_factory=dict)
    coupled: tuple[CoupledRange, ...] = ()  # ranges of motion of several angles together

    # ---- what it consists of -------------------------------------------------------------
    @cached_property
    def joint_names(self) -> tuple[str, ...]:
        """Names of all joints, parents first."""
        return tuple(joint.name for joint in self.joints)

    @cached_property
    def parents(self) -> tuple[int, ...]:
        """Index of every joint's parent, -1 for the root."""
        index = {name: i for i, name in enumerate(self.joint_names)}
        return tuple(-1 if joint.parent is None else index[joint.parent] for joint in self.joints)

    @cached_property
    def dofs(self) -> dict[str, Dof]:
        """All DOFs by their full name ``joint.dof``, in joint order."""
        return {f"{joint.name}.{dof.name}": dof for joint in self.joints for dof in joint.dofs}

    @cached_property
    def free_dofs(self) -> dict[str, Dof]:
        """The DOFs that are not locked: the decision variables of a frame."""
        return {name: dof for name, dof in self.dofs.items() if not dof.locked}

    @cached_property
    def root(self) -> Joint:
        """The joint without parent."""
        return self.joints[self.parents.index(-1)]

    @cached_property
    def root_translates(self) -> bool:
        """Whether the root has a free translation."""
        return any(dof.translates and not dof.locked for dof in self.root.dofs)

    def ancestors(self, joint: int) -> list[int]:
        """Return ``joint`` and all joints above it, nearest first (indices)."""
        path = [joint]
        while self.parents[path[-1]] >= 0:
            path.append(self.parents[path[-1]])
        return path

    # ---- changed copies ------------------------------------------------------------------
    def with_rom(self, rom: Mapping[str, tuple[float, float]]) -> Chain:
        """Return a copy with other ranges of motion.

        Parameters
        ----------
        rom
            ``{"joint.dof": (lower, upper)}`` in degrees (metres for a translation).

        Raises
        ------
        ModelError
            For an unknown DOF, or lower > upper.
        """
        changes: dict[str, Dof] = {}
        for name, (lower, upper) in rom.items():
            dof = self.dof(name)
            if not lower <= upper:
                raise ModelError(
                    f"ROM of '{name}' in chain '{self.name}': lower {lower} is above upper {upper}"
                )
            bounds = dof.from_user_unit(lower), dof.from_user_unit(upper)
            rest = min(max(dof.rest, bounds[0]), bounds[1])
            changes[name] = replace(dof, lower=bounds[0], upper=bounds[1], rest=rest)
        return self._with_dofs(changes)

    def with_coupled(self, *ranges: CoupledRange) -> Chain:
        """Return a copy with further coupled ranges of motion; cones come before linear couplings.

        Raises
        ------
        ModelError
            For a name that is taken, an unknown joint or DOF, axes or limits that are none.
        """
        turning = {
            joint.name: [f"{joint.name}.{dof.name}" for dof in joint.dofs if not dof.translates]
            for joint in self.joints
        }
        moving = [name for name, dof in self.dofs.items() if dof.translates]
        names = {one.name for one in self.coupled}
        for one in ranges:
            taken = "its name is taken" if one.name in names else None
            wrong = taken or refusal(one, turning, moving)
            if wrong:
                raise ModelError(f"coupled range '{one.name}' in chain '{self.name}': {wrong}")
            names.add(one.name)
        ordered = sorted([*self.coupled, *ranges], key=lambda one: not isinstance(one, SwingTwistCone))
        return replace(self, coupled=tuple(ordered))

    def with_coupled_limits(self, limits: Mapping[str, tuple[float, float]]) -> Chain:
        """Return a copy with other limits of its coupled ranges of motion.

        Parameters
        ----------
        limits
            Degrees: ``{"NAME": (lower, upper)}`` of a linear coupling, ``{"NAME.twist": (lower, upper)}`` and
            ``{"NAME.swing": (semi-angle about first, about axis x first)}`` of a cone.

        Raises
        ------
        ModelError
            For an unknown name, or limits that are none.
        """
        owners = {limit.name: one.name for one in self.coupled for limit in one.limits}
        changed = {one.name: one for one in self.coupled}
        for name, (first, second) in limits.items():
            if name not in owners:
                raise ModelError(
                    f"no coupled limit '{name}' in chain '{self.name}'; {possible(name, owners)}"
                )
            pair = math.radians(first), math.radians(second)
            changed[owners[name]] = new = changed[owners[name]].with_limit(name, pair)
            if wrong := limit_refusal(new):
                raise ModelError(f"coupled range '{new.name}' in chain '{self.name}': {wrong}")
        return replace(self, coupled=tuple(changed.values()))

    def with_locked(self, rest: Mapping[str, float]) -> Chain:
        """Return a copy with DOFs locked at ``{"joint.dof": rest value}`` [degrees, or m].

        Raises
        ------
        ModelError
            For an unknown DOF, or a rest value outside its ROM.
        """
        changes: dict[str, Dof] = {}
        for name, value in rest.items():
            dof = self.dof(name)
            inside = dof.from_user_unit(value)
            if not (math.isfinite(inside) and dof.lower - 1e-12 <= inside <= dof.upper + 1e-12):
                lower, upper = dof.in_user_unit(dof.lower), dof.in_user_unit(dof.upper)
                raise ModelError(
                    f"rest value {value:g} of '{name}' in chain '{self.name}' is outside its ROM "
                    f"[{lower:g}, {upper:g}]"
                )
            changes[name] = replace(dof, locked=True, rest=inside)
        return self._with_dofs(changes)

    def with_moving_root(self) -> Chain:
        """Return a copy whose root translates freely, before its rotations."""
        if self.root_translates:
            return self
        names = [f"translation_{axis}" for axis in "xyz"]
        units: list[Vector] = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]
        free = tuple(Dof(name, axis, translates=True) for name, axis in zip(names, units, strict=True))
        joints = tuple(
            replace(joint, dofs=free + joint.dofs) if joint.parent is None else joint for joint in self.joints
        )
        return replace(self, joints=joints)

    def with_unlocked(self, *names: str) -> Chain:
        """Return a copy in which the named DOFs are free."""
        return self._with_dofs({name: replace(self.dof(name), locked=False) for name in names})

    def with_lengths(
        self, joints: Mapping[str, float], keypoints: Mapping[str, float] | None = None
    ) -> Chain:
        """Return a copy with other segment lengths; directions at rest stay.

        Parameters
        ----------
        joints
            ``{joint: distance from its parent [m]}``.
        keypoints
            ``{keypoint: distance from its joint [m]}``.

        Raises
        ------
        ModelError
            For an unknown joint or keypoint, a length that is not positive, or a segment
            without direction (zero offset).
        """
        for name in joints:
            if name not in self.joint_names:
                raise ModelError(
                    f"no joint '{name}' in chain '{self.name}'; {possible(name, self.joint_names)}"
                )
        new_joints = tuple(
            replace(joint, offset=self._stretched(joint.name, joint.offset, joints[joint.name]))
            if joint.name in joints
            else joint
            for joint in self.joints
        )
        sites = dict(self.keypoints)
        for name, length in (keypoints or {}).items():
            if name not in sites:
                raise ModelError(f"no keypoint '{name}' in chain '{self.name}'; {possible(name, sites)}")
            sites[name] = replace(sites[name], offset=self._stretched(name, sites[name].offset, length))
        return replace(self, joints=new_joints, keypoints=sites)

    # ---- pieces --------------------------------------------------------------------------
    def dof(self, name: str) -> Dof:
        """Return the DOF of that full name.

        Raises
        ------
        ModelError
            When there is none; the message names the nearest.
        """
        if name not in self.dofs:
            raise ModelError(
                f"no degree of freedom '{name}' in chain '{self.name}'; {possible(name, self.dofs)}"
            )
        return self.dofs[name]

    def _with_dofs(self, changes: Mapping[str, Dof]) -> Chain:
        joints = tuple(
            replace(joint, dofs=tuple(changes.get(f"{joint.name}.{dof.name}", dof) for dof in joint.dofs))
            for joint in self.joints
        )
        return replace(self, joints=joints)

    def _stretched(self, name: str, offset: Vector, length: float) -> Vector:
        now = math.hypot(*offset)
        if not (math.isfinite(length) and length > 0):
            raise ModelError(f"length of '{name}' in chain '{self.name}' must be positive, got {length} m")
        if now == 0:
            raise ModelError(
                f"'{name}' in chain '{self.name}' has no segment to its parent: its offset is zero"
            )
        x, y, z = (value * length / now for value in offset)
        return (x, y, z)
