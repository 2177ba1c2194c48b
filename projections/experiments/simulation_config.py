"""The read table `simulation_config`: the whole configuration of every run."""

from collections.abc import Sequence
from typing import Final

from events.experiments.outside import OutsideSimulationOpened
from events.experiments.simulations import BranchResolved, SimulationRequested
from events.message import Event, Recorded
from projections.experiments.columns import (
    ORGANISATION,
    OWN_ORGANISATION,
    SCHEMA,
    bigint,
    jsonb,
    text,
)
from projections.projection import Index, Projection, Rows, Table


TABLE: Final = Table(
    schema=SCHEMA,
    name="simulation_config",
    version=1,
    note="Configurations of simulations, with their seeds",
    columns=(
        bigint("config_id", "Unique identifier for config"),
        text("simulation_key", "Simulation, by the identifier of its stream"),
        bigint("timestamp", "When config was created, in seconds since 1970"),
        text("config_data", "JSON configuration data"),
        ORGANISATION,
    ),
    key=("config_id",),
    rows=OWN_ORGANISATION,
    indexes=(Index(columns=("simulation_key",)),),
    view="""
        SELECT
            t.*,
            s.simulation_id
        FROM {table} AS t
        JOIN experiments.simulations AS s
            ON s._id = t.simulation_key
    """,
    view_columns=(bigint("simulation_id", "Simulation identifier"),),
)


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn each configuration into a row."""
    for recorded in batch:
        match recorded.event:
            case SimulationRequested() | BranchResolved() as event:
                rows.insert(
                    recorded.position,
                    str(event.simulation_id),
                    int(recorded.recorded_at.timestamp()),
                    jsonb({"seed": event.seed, **event.configuration}),
                    recorded.org_id,
                )
            case OutsideSimulationOpened() as event:
                rows.insert(
                    recorded.position,
                    str(event.simulation_id),
                    int(recorded.recorded_at.timestamp()),
                    jsonb(event.configuration),
                    recorded.org_id,
                )


PROJECTION: Final = Projection(
    table=TABLE,
    events=(SimulationRequested, BranchResolved, OutsideSimulationOpened),
    project=project,
)
