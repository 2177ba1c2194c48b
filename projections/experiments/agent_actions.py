"""The read table `agent_actions`: what agents did, to whom, and what it brought."""

from typing import TYPE_CHECKING, Any, Final

from events.experiments.simulations import ChunkRecorded, RowsRecorded
from events.experiments.vocabulary import ACTIONS, GATHER, OUTCOMES, SCALE
from projections.experiments import outside_agent_actions
from projections.experiments.columns import (
    ORGANISATION,
    OWN_ORGANISATION,
    SCHEMA,
    SIMULATION,
    STEP_IDS,
    agent_id,
    amount,
    bigint,
    chosen,
    double,
    integer,
    small,
    text,
    word,
)
from projections.experiments.outside import beside
from projections.projection import Filling, Index, Projection, Reference, Table


if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


CHOSEN: Final = chosen("action")

_MADE: Final = Table(
    schema=SCHEMA,
    name="agent_actions",
    version=2,
    note="Actions of agents, as far as rows were captured or made",
    columns=(
        SIMULATION,
        integer("step_number", "When action occurred"),
        integer("agent", "Number of the agent"),
        small("action", "Type of action taken, as a number", nullable=True),
        small(
            "choice",
            "What the agent chose within the action, as a number",
            nullable=True,
        ),
        small("outcome", "What became of it, as a number", nullable=True),
        integer(
            "target",
            "Number of the agent or resource it was for, -1 for none",
            nullable=True,
        ),
        bigint("before", "Resources before action, in 1/10000", nullable=True),
        bigint("after", "Resources after action, in 1/10000", nullable=True),
        integer("gain", "Reward received for action, in 1/10000", nullable=True),
        integer(
            "quantity",
            "What was moved, taken, given or hurt, in 1/10000",
            nullable=True,
        ),
        ORGANISATION,
    ),
    key=("simulation_id", "step_number", "agent"),
    rows=OWN_ORGANISATION,
    view=f"""
        SELECT
            t.*,
            t.step_number::bigint * {STEP_IDS} + t.agent + 1 AS action_id,
            {agent_id("agent")},
            {word("action", ACTIONS, "action_type")},
            CASE
                WHEN t.action <> {GATHER} AND t.target >= 0
                THEN 'agent_' || t.target
            END AS action_target_id,
            'agent_' || t.agent || '-' || t.step_number - 1 AS state_before_id,
            CASE
                WHEN died.agent IS NULL
                THEN 'agent_' || t.agent || '-' || t.step_number
            END AS state_after_id,
            {amount("before", "resources_before")},
            {amount("after", "resources_after")},
            {amount("gain", "reward")},
            jsonb_strip_nulls(
                jsonb_build_object(
                    'outcome', {word("outcome", OUTCOMES, "x").removesuffix(" AS x")},
                    'choice', {CHOSEN},
                    'amount', (t.quantity / {SCALE}.0)::double precision,
                    'resource_id', CASE
                        WHEN t.action = {GATHER} AND t.target >= 0 THEN t.target
                    END
                )
            )::text AS details
        FROM {{table}} AS t
        LEFT JOIN experiments.agent_deaths AS died
            ON died.simulation_id = t.simulation_id
            AND died.agent = t.agent
            AND died.step_number = t.step_number
    """,
    view_columns=(
        bigint("action_id", "Unique identifier for action"),
        text("agent_id", "Agent that took action"),
        text("action_type", "Type of action taken"),
        text("action_target_id", "Target of action (if any)", nullable=True),
        text("state_before_id", "Reference to state before action", nullable=True),
        text(
            "state_after_id",
            "Reference to state after action (NULL if agent died)",
            nullable=True,
        ),
        double("resources_before", "Resources before action", nullable=True),
        double("resources_after", "Resources after action", nullable=True),
        double("reward", "Reward received for action", nullable=True),
        text("details", "Outcome, choice, amount and resource, as JSON", nullable=True),
    ),
    indexes=(
        Index(columns=("simulation_id", "agent")),
        Index(columns=("simulation_id", "action")),
    ),
    references=(
        Reference(
            column="simulation_id",
            table="experiments.simulations",
            target="simulation_id",
        ),
    ),
)


TABLE: Final = beside(
    _MADE, outside_agent_actions.TABLE, {"action_id": "coalesce(o.action_id, o.place)"}
)


def arrange(
    rows: "npt.NDArray[np.void]", event: ChunkRecorded | RowsRecorded
) -> dict[str, Any]:
    """Return the columns of recorded rows."""
    return {
        "simulation_id": event.simulation,
        "step_number": rows["step"],
        "agent": rows["agent"],
        "action": rows["action"],
        "choice": rows["choice"],
        "outcome": rows["outcome"],
        "target": rows["target"],
        "before": rows["before"],
        "after": rows["after"],
        "gain": rows["reward"],
        "quantity": rows["amount"],
    }


PROJECTION: Final = Projection(
    table=TABLE,
    events=(ChunkRecorded, RowsRecorded),
    fill=Filling(source="actions", arrange=arrange),
)
