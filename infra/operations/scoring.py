"""The figures of an import as the read tables give them, not as the file says."""

from typing import Final

from msgspec.structs import replace

from infra.operations.importing import Summary
from services.http.reading import Reader
from services.http.reliability import reliability
from services.identity import Identity


ENTRIES: Final = """
SELECT count(*) AS entries
FROM testing.trials AS t
JOIN testing.trial_entries AS e ON e.trial_id = t._id
WHERE t.run_id = $1
"""


async def scored(reader: Reader, identity: Identity, summary: Summary) -> Summary:
    """Return a summary with its trials, entries and estimates from the read tables."""
    run_id = str(summary.run_id)
    found = await reliability(reader, identity, run_id)
    (row,) = await reader.read(identity, ENTRIES, [run_id])
    return replace(
        summary,
        tasks=found.tasks,
        trials=found.trials + found.errored,
        entries=row["entries"],
        pass_rate=found.pass_rate,
        pass_hat_k=found.pass_hat_k,
        pass_at_k=found.pass_at_k,
    )
