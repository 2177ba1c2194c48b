"""Which decider rules over which command; whatever is not listed here does not exist.

Commands are public, unless their decider says that only other deciders ask for them.
"""

from collections.abc import Mapping
from typing import Final

from events.message import Command
from services import reservations
from services.access import (
    addresses,
    organisations,
    readings,
    service_tokens,
    sql_logins,
    subjects,
    users,
)
from services.decider import AnyDecider
from services.experiments import experiments, simulations
from services.playgrounds import evaluations, ledgers, playgrounds
from services.testing import (
    agents,
    metrics,
    personas,
    references,
    scenarios,
    set_runs,
    trials,
    unit_test_sets,
    unit_tests,
)


PublicCommand = (
    subjects.SubjectCommand
    | organisations.OrganisationCommand
    | readings.RecordReading
    | users.UserCommand
    | experiments.ExperimentCommand
    | simulations.SimulationCommand
    | agents.AgentCommand
    | metrics.MetricCommand
    | personas.PersonaCommand
    | scenarios.ScenarioCommand
    | set_runs.SetRunCommand
    | unit_test_sets.UnitTestSetCommand
    | unit_tests.UnitTestCommand
    | evaluations.EvaluationCommand
    | ledgers.LedgerCommand
    | playgrounds.PlaygroundCommand
)

DECIDERS: Final[tuple[AnyDecider, ...]] = (
    subjects.decider,
    organisations.decider,
    users.decider,
    experiments.decider,
    simulations.decider,
    service_tokens.decider,
    sql_logins.decider,
    addresses.decider,
    readings.decider,
    agents.decider,
    metrics.decider,
    personas.decider,
    references.decider,
    reservations.decider,
    scenarios.decider,
    set_runs.decider,
    trials.decider,
    unit_test_sets.decider,
    unit_tests.decider,
    evaluations.decider,
    ledgers.decider,
    playgrounds.decider,
)

DECIDER_OF: Final[Mapping[type[Command], AnyDecider]] = {
    kind: decider for decider in DECIDERS for kind in decider.commands
}

COMMANDS: Final[Mapping[str, type[Command]]] = {
    str(kind.__struct_config__.tag): kind
    for kind, decider in DECIDER_OF.items()
    if kind not in decider.internal
}


def decider_of(kind: type[Command]) -> AnyDecider:
    """Return the decider that rules over a command."""
    return DECIDER_OF[kind]
