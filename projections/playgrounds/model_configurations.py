"""The read table `model_configurations`: the models of playgrounds.

Testers judge blindly: they see the names once the playground is closed, and how a model
is reached never.
"""

from collections.abc import Sequence
from typing import Final

from events.message import Event, Recorded
from events.playgrounds.playgrounds import (
    ModelAdded,
    ModelChanged,
    ModelRemoved,
    PlaygroundArchived,
    PlaygroundDeleted,
    Provider,
)
from projections.playgrounds.columns import (
    BY_OWNER,
    CREATED_AT,
    MODEL_KEY,
    OF_PLAYGROUND,
    ORGANISATION,
    OWNER,
    OWNERS,
    PLAYGROUND_ID,
    SCHEMA,
    UPDATED_AT,
    WHO_SEES_THE_PLAYGROUND,
    flag,
    integer,
    key,
    model_id,
    organisation,
    text,
)
from projections.projection import Index, Projection, Rows, Table


TABLE: Final = Table(
    schema=SCHEMA,
    name="model_configurations",
    version=1,
    note="Models that are evaluated; testers see no names until the playground closes",
    columns=(
        key("Configuration identifier"),
        PLAYGROUND_ID,
        MODEL_KEY,
        text("model_name", "Name", most=255, visible=f"is_closed OR {OWNERS}"),
        text("provider", "elevenlabs, or iframe for a page", visible=OWNERS),
        text("agent_id", "Agent of the provider, or the page", visible=OWNERS),
        text("embed_code", "Embed code made of these two", visible=OWNERS),
        integer("max_evaluations", "Maximum times model can be evaluated"),
        flag("is_closed", "Whether the playground is closed for good"),
        OWNER,
        *ORGANISATION,
        CREATED_AT,
        UPDATED_AT,
    ),
    key=("id",),
    rows=WHO_SEES_THE_PLAYGROUND,
    indexes=(
        Index(columns=("playground_id", "model_key"), unique=True),
        BY_OWNER,
    ),
    references=(OF_PLAYGROUND,),
)


def embed_code(provider: Provider, agent_id: str) -> str:
    """Return what would embed a model, for its owner to copy; never rendered."""
    safe = agent_id.replace("&", "&amp;").replace('"', "&quot;")
    if provider == "iframe":
        return f'<iframe src="{safe}"></iframe>'
    return f'<elevenlabs-convai agent-id="{safe}"></elevenlabs-convai>'


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn the facts of models into their rows."""
    for recorded in batch:
        match recorded.event:
            case ModelAdded() as event:
                rows.insert(
                    model_id(event.playground_id, event.model_key),
                    event.playground_id,
                    event.model_key,
                    event.model_name,
                    event.provider,
                    event.agent_id,
                    embed_code(event.provider, event.agent_id),
                    event.max_evaluations,
                    False,
                    event.owner,
                    *organisation(recorded),
                    recorded.recorded_at,
                    recorded.recorded_at,
                )
            case ModelChanged() as event:
                rows.patch(
                    (model_id(event.playground_id, event.model_key),),
                    model_name=event.model_name,
                    provider=event.provider,
                    agent_id=event.agent_id,
                    embed_code=embed_code(event.provider, event.agent_id),
                    max_evaluations=event.max_evaluations,
                    updated_at=recorded.recorded_at,
                )
            case ModelRemoved() as event:
                rows.remove((model_id(event.playground_id, event.model_key),))
            case PlaygroundArchived() as event:
                rows.patch_where("playground_id", event.playground_id, is_closed=True)
            case PlaygroundDeleted() as event:
                for model_key in event.model_keys:
                    rows.remove((model_id(event.playground_id, model_key),))


PROJECTION: Final = Projection(
    table=TABLE,
    events=(
        ModelAdded,
        ModelChanged,
        ModelRemoved,
        PlaygroundArchived,
        PlaygroundDeleted,
    ),
    project=project,
)
