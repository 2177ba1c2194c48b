"""The read table `learning_experiences`: what learning modules decided, and gained."""

from typing import TYPE_CHECKING, Any, Final

from events.experiments.simulations import ChunkRecorded, RowsRecorded
from events.experiments.vocabulary import MODULES, SELECT, SHARED
from projections.experiments import outside_learning_experiences
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


MODULE: Final = f"module % {SHARED}"
TAKEN: Final = chosen(MODULE, "action_taken")

_MADE: Final = Table(
    schema=SCHEMA,
    name="learning_experiences",
    version=2,
    note="Decisions of learning modules, as far as rows were captured or made",
    columns=(
        SIMULATION,
        integer("step_number", "When experience occurred"),
        integer("agent", "Number of the agent"),
        small("module", "Learning module, as a number"),
        small("action_taken", "Action index taken", nullable=True),
        integer("gain", "Reward received, in 1/10000", nullable=True),
        ORGANISATION,
    ),
    key=("simulation_id", "step_number", "agent", "module"),
    rows=OWN_ORGANISATION,
    view=f"""
        SELECT
            t.*,
            (t.step_number::bigint * {STEP_IDS} + t.agent) * 2
                + (t.{MODULE} = {SELECT})::integer + 1 AS experience_id,
            {agent_id("agent")},
            {word(MODULE, MODULES, "module_type")},
            CASE WHEN t.module < {SHARED} THEN 'agent_' || t.agent ELSE 'population' END
                || ':' || {word(MODULE, MODULES, "x").removesuffix(" AS x")}
                AS module_id,
            {TAKEN} AS action_taken_mapped,
            {amount("gain", "reward")}
        FROM {{table}} AS t
    """,
    view_columns=(
        bigint("experience_id", "Unique identifier for experience"),
        text("agent_id", "Agent that had experience"),
        text("module_type", "Type of learning module"),
        text("module_id", "Identifier for specific module", nullable=True),
        text("action_taken_mapped", "Human-readable action description", nullable=True),
        double("reward", "Reward received", nullable=True),
    ),
    indexes=(
        Index(columns=("simulation_id", "agent")),
        Index(columns=("simulation_id", "module")),
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
    _MADE,
    outside_learning_experiences.TABLE,
    {
        "module": "(-1)::smallint",
        "experience_id": "coalesce(o.experience_id, o.place)",
    },
)


def arrange(
    rows: "npt.NDArray[np.void]", event: ChunkRecorded | RowsRecorded
) -> dict[str, Any]:
    """Return the columns of recorded rows."""
    return {
        "simulation_id": event.simulation,
        "step_number": rows["step"],
        "agent": rows["agent"],
        "module": rows["module"],
        "action_taken": rows["choice"],
        "gain": rows["reward"],
    }


PROJECTION: Final = Projection(
    table=TABLE,
    events=(ChunkRecorded, RowsRecorded),
    fill=Filling(source="lessons", arrange=arrange),
)
