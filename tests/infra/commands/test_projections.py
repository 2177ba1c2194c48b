"""Read tables are rebuilt, compared, switched and repaired from the command line."""

from typing import Any

from projections.catalogue import TABLES
from projections.ddl import qualified
from tests.builders import new_id
from tests.infra.commands.commands import create, names, rename
from tests.infra.commands.process import Answer, Up, rehearsal


TABLE = "testing.simulation_personas"
REFUSE = """
ALTER TABLE {physical}
    ADD CONSTRAINT picky CHECK (name NOT LIKE 'Poison%') NOT VALID
"""
ALLOW = "ALTER TABLE {physical} DROP CONSTRAINT picky"


async def projections(up: Up, *words: str) -> Answer:
    return await rehearsal("projections", *words, "--data-dir", up.data_dir, "--json")


async def send(up: Up, org: str, *commands: bytes) -> None:
    sent = await rehearsal(
        *("send", "-", "--data-dir", up.data_dir, "--org", org, "--json"),
        content=b"\n".join(commands),
    )
    assert sent.code == 0, sent


async def builds(up: Up) -> list[dict[str, Any]]:
    """Return the builds of the table of personas, the newest first."""
    listed = (await projections(up, "list")).json["projections"]
    assert {each["name"] for each in listed} == set(TABLES)
    (found,) = [each["builds"] for each in listed if each["name"] == TABLE]
    assert isinstance(found, list)
    return found


async def test_every_table_is_rebuilt_compared_and_switched(up: Up) -> None:
    await send(up, "rebuilt", create("Rebuilt"))
    rebuilt = await projections(up, "rebuild", "--all")
    assert rebuilt.code == 0, rebuilt
    assert [each["name"] for each in rebuilt.json["builds"]] == list(TABLES)
    difference = await projections(up, "diff", TABLE)
    assert difference.code == 0
    assert difference.json["equal"]
    switched = await projections(up, "switch", TABLE)
    assert switched.json["table"] != "simulation_personas__v1"
    await send(up, "rebuilt", create("Afterwards"))
    assert await names(up.data_dir, org="rebuilt") == ["Rebuilt", "Afterwards"]
    assert (await projections(up, "diff", TABLE, "--build", "1")).json["equal"]
    new, former = [each for each in await builds(up) if each["state"] != "dropped"]
    assert (new["state"], former["state"]) == ("live", "kept")
    assert (new["behind"], former["behind"]) == (0, 0)
    dropped = await projections(up, "drop", TABLE)
    assert dropped.json == {"dropped": ["simulation_personas__v1"]}
    again = await projections(up, "switch", TABLE)
    assert again.problem == ("Missing", None)


async def test_what_is_poisoned_is_parked_retried_and_skipped(up: Up) -> None:
    (live,) = [each for each in await builds(up) if each["state"] == "live"]
    physical = qualified(TABLES[TABLE], live["table"])
    mended, skipped = new_id(), new_id()
    await send(up, "poison", create("Skipped", skipped))
    await up.as_superuser(REFUSE.format(physical=physical))
    await send(
        up,
        "poison",
        create("Poison", mended),
        rename("Poison, too", skipped),
        create("Fine"),
    )
    await send(up, "poison", rename("Mended", mended))
    assert await names(up.data_dir, org="poison") == ["Skipped", "Fine"]

    found = (await projections(up, "parked")).json["parked"]
    assert [(each["key"], each["type"]) for each in found] == [
        (f"testing.persona-{mended}", "testing.PersonaCreated"),
        (f"testing.persona-{skipped}", "testing.PersonaDetailsChanged"),
    ]
    assert all("picky" in each["error"] for each in found)
    doctor = await rehearsal("doctor", "--data-dir", up.data_dir, "--json")
    assert doctor.code == 1
    (bad,) = [each for each in doctor.json["findings"] if not each["ok"]]
    assert bad["found"] == "4; see `rehearsal projections parked`"

    key = f"testing.persona-{skipped}"
    left = await projections(up, "retry", "testing", key)
    assert left.code == 1
    assert [each["attempts"] for each in left.json["retried"][0]["left"]] == [2]
    out = await projections(up, "skip", "testing", key, "--reason", "Not a name.")
    assert out.json["retried"][0]["left"] == []

    await up.as_superuser(ALLOW.format(physical=physical))
    applied = await projections(up, "retry", "testing")
    assert applied.code == 0, applied
    shown = await names(up.data_dir, org="poison")
    assert sorted(shown) == ["Fine", "Mended", "Skipped"]
    assert (await projections(up, "parked", "--waiting")).json == {"parked": []}
