"""The identifiers of all contexts: UUIDs that the checker keeps apart."""

from typing import NewType
from uuid import UUID


CommandId = NewType("CommandId", UUID)
EventId = NewType("EventId", UUID)
SubjectId = NewType("SubjectId", UUID)
UserId = NewType("UserId", UUID)
OrganisationId = NewType("OrganisationId", UUID)
ServiceTokenId = NewType("ServiceTokenId", UUID)

PersonaId = NewType("PersonaId", UUID)
ScenarioId = NewType("ScenarioId", UUID)
MetricId = NewType("MetricId", UUID)
AgentId = NewType("AgentId", UUID)
UnitTestId = NewType("UnitTestId", UUID)
UnitTestSetId = NewType("UnitTestSetId", UUID)
SetRunId = NewType("SetRunId", UUID)
TrialId = NewType("TrialId", UUID)

PlaygroundId = NewType("PlaygroundId", UUID)
QuestionId = NewType("QuestionId", UUID)
EvaluationId = NewType("EvaluationId", UUID)
