"""The secret files of a stack of containers: passwords, keys, and each role's settings.

A role's file holds the addresses that it needs and no others, so whoever takes over a
worker cannot migrate, and whoever takes over the API cannot rebuild. The paths in them
are those that the files have where they are mounted.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from infra.embedded.rabbit import USER
from infra.embedded.server import SUPERUSER, new_password
from infra.postgres.roles import APP, KEYS, OWNER, PROJECTOR, READER
from infra.sealing import KEY_BYTES
from infra.settings import SetupError


DATABASE: Final = "rehearsal"
STATE: Final = "/var/lib/rehearsal"
MASTER_KEY: Final = "master.key"
PRIVATE_KEY: Final = "token.pem"
PUBLIC_KEY: Final = "token_public.pem"

URLS: Final[Mapping[str, str]] = {
    "superuser_url": SUPERUSER,
    "owner_url": OWNER,
    "app_url": APP,
    "projector_url": PROJECTOR,
    "reader_url": READER,
    "keys_url": KEYS,
}
WORKING: Final = ("app_url", "keys_url", "master_key_file", "broker")
NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "migrate": tuple(URLS),
    "api": (
        *("app_url", "keys_url", "master_key_file"),
        *("token_private_key_file", "token_public_key_files", "data_dir"),
    ),
    "project": ("app_url", "projector_url", "keys_url", "master_key_file", "data_dir"),
    "dispatch": ("projector_url", *WORKING),
    "work": WORKING,
    "intake": ("token_public_key_files", *WORKING),
    "relay": ("projector_url", *WORKING),
}


def make_secrets(
    folder: Path, *, postgres: str, rabbitmq: str, mounted: str
) -> list[str]:
    """Write the files into a new or empty folder, and return their names.

    `postgres` and `rabbitmq` are hosts with ports. Raises `SetupError` where there are
    files: a password that is lost locks everybody out.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        message = f"{folder} is not empty; nothing is overwritten there"
        raise SetupError(message)
    passwords = {login: new_password() for login in (*URLS.values(), USER)}
    key = Ed25519PrivateKey.generate()
    known: dict[str, object] = {
        name: f"postgresql://{login}:{passwords[login]}@{postgres}/{DATABASE}"
        for name, login in URLS.items()
    }
    known |= {
        "broker": f"amqp://{USER}:{quote(passwords[USER])}@{rabbitmq}/",
        "master_key_file": f"{mounted}/{MASTER_KEY}",
        "token_private_key_file": f"{mounted}/{PRIVATE_KEY}",
        "token_public_key_files": [f"{mounted}/{PUBLIC_KEY}"],
        "data_dir": STATE,
    }
    files: dict[str, bytes] = {
        "postgres_password": passwords[SUPERUSER].encode(),
        "rabbitmq.conf": _conf(passwords[USER]),
        MASTER_KEY: os.urandom(KEY_BYTES),
        PRIVATE_KEY: key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        PUBLIC_KEY: key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
    }
    for role, names in NEEDS.items():
        files[f"{role}.toml"] = _toml((name, known[name]) for name in names)
    for name, content in files.items():
        # RabbitMQ's own user reads its file; the folder keeps others out.
        _write(folder / name, content, 0o644 if name == "rabbitmq.conf" else 0o600)
    return sorted(files)


def _conf(password: str) -> bytes:
    return f"default_user = {USER}\ndefault_pass = {password}\n".encode()


def _toml(values: Iterable[tuple[str, object]]) -> bytes:
    # Strings and lists of strings are written in TOML as they are in JSON.
    lines = (
        f"{name} = {msgspec.json.encode(value).decode()}" for name, value in values
    )
    return "\n".join((*lines, "")).encode()


def _write(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    path.chmod(mode)
