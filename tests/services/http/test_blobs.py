"""Blobs over HTTP: kept once, offered as files, to those who may."""

from hashlib import sha256

from tests.services.http.world import World, is_problem


async def keep(world: World, content: bytes, **headers: str) -> str:
    answer = await world.request(
        "POST",
        "/v1/blobs",
        data=content,
        headers={**world.bearer(), "Content-Type": "text/html", **headers},
    )
    assert answer.status == 201, answer.body
    assert answer.json["size"] == len(content)
    return answer.headers["Location"]


async def test_a_blob_is_found_by_its_digest(world: World) -> None:
    content = b"<script>alert(1)</script>\x00\xff"
    place = await keep(world, content)
    assert place == f"/v1/blobs/{sha256(content).hexdigest()}"
    assert await keep(world, content) == place
    answer = await world.get(place)
    assert answer.body == content
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_an_empty_blob_is_kept(world: World) -> None:
    assert (await world.get(await keep(world, b""))).body == b""


async def test_blobs_take_a_role_or_a_scope(world: World) -> None:
    place = await keep(world, b"x")
    viewer = world.bearer(roles=["viewer"])
    assert is_problem(await world.request("GET", place, headers=viewer), 403)
    assert is_problem(await world.request("POST", "/v1/blobs", headers=viewer), 403)
    service = world.bearer(roles=[], scopes=["blobs"])
    assert (await world.request("GET", place, headers=service)).body == b"x"


async def test_a_blob_is_asked_for_by_a_digest(world: World) -> None:
    assert is_problem(await world.get("/v1/blobs/" + "0" * 64), 404)
    assert is_problem(await world.get("/v1/blobs/" + "g" * 64), 400, "path.sha256")
    assert is_problem(await world.get("/v1/blobs/%00"), 400, "path.sha256")


async def test_a_large_blob_is_refused(world: World) -> None:
    content = bytes((16 << 20) + 1)
    answer = await world.request(
        "POST", "/v1/blobs", data=content, headers=world.bearer()
    )
    assert is_problem(answer, 413)
