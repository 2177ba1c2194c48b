"""compose.yaml: every role is there, and what it is given exists."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.cli import PLACES
from infra.operations.deploying import NEEDS, make_secrets
from infra.settings import FIELDS, PREFIX, load_settings


ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SERVERS = {"postgres", "rabbitmq"}
ROLES = {
    name
    for name, (_, told) in PLACES.items()
    if re.match(r"Run the .*role", told) or name == "migrate"
}


def secrets_of(service: dict[str, Any]) -> set[str]:
    return {
        each if isinstance(each, str) else each["source"]
        for each in service.get("secrets", [])
    }


def test_every_role_of_the_command_line_is_there() -> None:
    assert len(ROLES) >= 5
    assert SERVICES.keys() - SERVERS == ROLES
    for name in ROLES:
        assert SERVICES[name]["command"][0] == name


@pytest.mark.parametrize("name", sorted(ROLES))
def test_a_role_gets_its_own_settings_and_the_files_that_they_name(
    name: str, tmp_path: Path
) -> None:
    service = SERVICES[name]
    given = service["environment"]
    for variable in given.keys() - {"REHEARSAL_SETTINGS"}:
        assert variable.removeprefix(PREFIX).lower() in FIELDS
    assert given["REHEARSAL_SETTINGS"] == f"/run/secrets/{name}.toml"
    folder = tmp_path / "secrets"
    make_secrets(folder, postgres="db:5432", rabbitmq="mq:5672", mounted=str(folder))
    environment = {**given, "REHEARSAL_SETTINGS": str(folder / f"{name}.toml")}
    settings = load_settings(environment=environment)
    files = {
        path.name
        for field in ("master_key_file", "token_private_key_file")
        if (path := getattr(settings, field)) is not None
    } | {path.name for path in settings.token_public_key_files}
    assert secrets_of(service) == {f"{name}.toml", *files}
    assert (settings.superuser_url is not None) == (name == "migrate")
    assert not settings.embedded


def test_every_secret_is_a_file_that_is_made_and_none_is_in_the_open(
    tmp_path: Path,
) -> None:
    made = make_secrets(
        tmp_path / "secrets", postgres="db:5432", rabbitmq="mq:5672", mounted="/x"
    )
    named = COMPOSE["secrets"]
    assert {each["file"] for each in named.values()} == {
        f"./secrets/{name}" for name in made
    }
    used = set().union(*(secrets_of(service) for service in SERVICES.values()))
    assert used == named.keys()
    for service in SERVICES.values():
        for value in service.get("environment", {}).values():
            assert "@" not in value


def test_whoever_takes_over_a_role_gets_no_more_than_it_needs() -> None:
    assert "superuser_url" in NEEDS["migrate"]
    for name, needed in NEEDS.items():
        if name != "migrate":
            assert not {"superuser_url", "owner_url"} & set(needed)
        if name in {"api", "work"}:
            assert "projector_url" not in needed


def test_every_service_says_how_it_is() -> None:
    for name, service in SERVICES.items():
        if name == "migrate":
            assert service["healthcheck"] == {"disable": True}
            continue
        assert service["healthcheck"]["test"][0] == "CMD"
        if name not in {*SERVERS, "api"}:
            assert service["command"][1:] == ["--admin-port", "9090"]
        for needed, condition in service.get("depends_on", {}).items():
            disabled = SERVICES[needed]["healthcheck"].get("disable")
            ends = "service_completed_successfully"
            assert condition["condition"] == (ends if disabled else "service_healthy")


def test_volumes_are_named_where_they_are_used() -> None:
    used = {
        volume.partition(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
    }
    assert used == COMPOSE["volumes"].keys()


def test_the_image_holds_what_the_build_copies() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copied = {
        word
        for line in lines
        if line.startswith("COPY") and "--from" not in line
        for word in line.split()[1:-1]
    }
    allowed = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    for path in copied:
        assert (ROOT / path).exists()
        assert path.split("/")[0] in allowed


def test_docker_takes_it_as_it_is(tmp_path: Path) -> None:
    docker = shutil.which("docker")
    plugin = docker and subprocess.run(  # noqa: S603 - of the machine
        [docker, "compose", "version"], capture_output=True, check=False
    )
    if not docker or plugin is None or plugin.returncode != 0:  # type: ignore[union-attr] # docker may be None
        pytest.skip("docker compose is not on this machine")
    shutil.copy(ROOT / "compose.yaml", tmp_path)
    make_secrets(
        tmp_path / "secrets", postgres="db:5432", rabbitmq="mq:5672", mounted="/x"
    )
    done = subprocess.run(  # noqa: S603 - of the machine
        [docker, "compose", "--project-directory", tmp_path, "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
