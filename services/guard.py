"""Who may ask for what: one table, and nothing that is not in it.

A command takes a role in its own area, which is the context of its tag.
"""

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Final, cast, get_args

import msgspec

from events import roles
from events.errors import Forbidden
from events.message import Command, Meta
from events.roles import Area, Role, Scope
from services.access.organisations import ChangeOrganisation, CreateOrganisation
from services.access.readings import RecordReading
from services.access.service_tokens import ServiceTokenCommand
from services.access.sql_logins import SqlLoginCommand
from services.access.subjects import EraseSubject
from services.access.users import (
    ChangeProfile,
    DeactivateUser,
    EraseUser,
    GrantRole,
    ReactivateUser,
    RevokeRole,
    SignInCommand,
)
from services.experiments.experiments import ExperimentCommand
from services.experiments.simulations import SimulationCommand
from services.playgrounds.evaluations import (
    EvaluationCommand,
    ExcludeEvaluation,
    ImportEvaluation,
)
from services.playgrounds.ledgers import ReserveSlot
from services.playgrounds.playgrounds import PlaygroundCommand
from services.testing.agents import AgentCommand
from services.testing.metrics import MetricCommand
from services.testing.personas import PersonaCommand
from services.testing.scenarios import ScenarioCommand
from services.testing.set_runs import SetRunCommand
from services.testing.unit_test_sets import UnitTestSetCommand
from services.testing.unit_tests import UnitTestCommand


SYSTEM: Final = "system:"


class Permission(msgspec.Struct, frozen=True, kw_only=True):
    """One of the roles is needed, and every one of the scopes.

    What is `own`, a user may ask for without any role, where it is for themselves.
    """

    roles: frozenset[Role]
    scopes: frozenset[Scope] = frozenset()
    own: bool = False


AUTHOR: Final = Permission(roles=frozenset({"admin", "user"}))
ADMIN: Final = Permission(roles=frozenset({"admin"}))
SIGNED_IN: Final = Permission(roles=frozenset(get_args(Role)))
OWN: Final = Permission(roles=frozenset({"admin"}), own=True)

PERMISSIONS: Final[Mapping[type[Command], Permission]] = {
    EraseSubject: ADMIN,
    RecordReading: ADMIN,
    CreateOrganisation: ADMIN,
    ChangeOrganisation: ADMIN,
    ChangeProfile: OWN,
    GrantRole: ADMIN,
    RevokeRole: ADMIN,
    DeactivateUser: ADMIN,
    ReactivateUser: ADMIN,
    EraseUser: OWN,
    **dict.fromkeys(get_args(ExperimentCommand), AUTHOR),
    **dict.fromkeys(get_args(SimulationCommand), AUTHOR),
    **dict.fromkeys(get_args(AgentCommand), AUTHOR),
    **dict.fromkeys(get_args(MetricCommand), AUTHOR),
    **dict.fromkeys(get_args(PersonaCommand), AUTHOR),
    **dict.fromkeys(get_args(ScenarioCommand), AUTHOR),
    **dict.fromkeys(get_args(SetRunCommand), AUTHOR),
    **dict.fromkeys(get_args(UnitTestCommand), AUTHOR),
    **dict.fromkeys(get_args(UnitTestSetCommand), AUTHOR),
    **dict.fromkeys(get_args(PlaygroundCommand), AUTHOR),
    **dict.fromkeys(get_args(EvaluationCommand), SIGNED_IN),
    ExcludeEvaluation: AUTHOR,
    ImportEvaluation: Permission(
        roles=frozenset({"admin", "user"}), scopes=frozenset({"import"})
    ),
    ReserveSlot: SIGNED_IN,
}


@cache
def area_of(kind: type[Command]) -> Area:
    """Return the area in which a command takes a role: `testing` of `testing.X`."""
    return cast("Area", str(kind.__struct_config__.tag).partition(".")[0])


def check(command: Command, meta: Meta) -> None:
    """Raise `Forbidden` unless the actor may ask for the command."""
    kind = type(command)
    if may(kind, meta.roles, meta.scopes):
        return
    permission = PERMISSIONS.get(kind)
    if permission is None:
        raise Forbidden("Nobody may ask for this from outside.")
    if not (permission.own and is_for_themselves(command, meta)):
        roles.demand(meta.roles, permission.roles, area_of(kind))
    if not permission.scopes <= meta.scopes:
        needed = ", ".join(sorted(permission.scopes - meta.scopes))
        message = f"This needs the scope {needed}."
        raise Forbidden(message)


@lru_cache(maxsize=4096)
def may(kind: type[Command], held: frozenset[str], scopes: frozenset[str]) -> bool:
    """Say whether roles and scopes allow a command, whomever it concerns."""
    permission = PERMISSIONS.get(kind)
    return (
        permission is not None
        and not held.isdisjoint(roles.names(permission.roles, area_of(kind)))
        and permission.scopes <= scopes
    )


def is_for_themselves(command: Command, meta: Meta) -> bool:
    """Say whether a user asks for what concerns nobody else."""
    concerned = getattr(command, command.__struct_fields__[0])
    return meta.actor == f"user:{concerned}"


def check_sign_in(command: Command, _meta: Meta) -> None:
    """Raise `Forbidden` unless a command is one that signing in asks for.

    What signing in asks for rests on a password or a code, and on no role; who may
    issue tokens to services, or give logins, was asked before.
    """
    if not isinstance(command, SignInCommand | ServiceTokenCommand | SqlLoginCommand):
        raise Forbidden


def check_system(_command: Command, meta: Meta) -> None:
    """Raise `Forbidden` unless the system itself asks, which may ask for anything."""
    if not meta.actor.startswith(SYSTEM):
        raise Forbidden
