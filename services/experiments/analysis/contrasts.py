"""The conditions of an experiment, each compared with the first."""

from collections.abc import Sequence
from typing import Any

import msgspec

from services.experiments.analysis.comparison import compare, figures
from services.experiments.analysis.recorded import recorded
from services.experiments.analysis.recording import AnyRecording
from services.experiments.analysis.report import analyse
from services.experiments.analysis.results import Contrast, Contrasts, Replicate


def contrasts(recordings: Sequence[AnyRecording]) -> Contrasts:
    """Return how conditions differ: runs of the same parameters are replicates."""
    conditions: dict[bytes, dict[str, Any]] = {}
    replicates: dict[bytes, list[Replicate]] = {}
    for recording in recordings:
        key = msgspec.json.encode(recording.parameters, order="sorted")
        conditions.setdefault(key, recording.parameters)
        replicates.setdefault(key, []).append(replicate(recording))
    first, *others = conditions or {b"": {}}
    return Contrasts(
        position=max((each.position for each in recordings), default=0),
        runs=len(recordings),
        conditions=list(conditions.values()),
        contrasts=[
            Contrast(
                first=conditions[first],
                second=conditions[other],
                comparison=compare(replicates[first], replicates[other]),
            )
            for other in others
        ],
    )


def replicate(recording: AnyRecording) -> Replicate:
    """Return a run as one of several of its condition."""
    run = recorded(recording)
    counts = run.steps.total_agents
    return Replicate(
        seed=recording.seed,
        figures=figures(analyse(run)),
        total_agents=[] if counts is None else [int(count) for count in counts],
    )
