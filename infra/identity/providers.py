"""The identity providers of an installation: a TOML file of the operator's.

    [[providers]]
    name = "acme"                          # in paths, and in accounts: never change it
    title = "Acme"                         # what people read
    issuer = "https://login.acme.example"
    client_id = "rehearsal"
    client_secret_file = "/run/secrets/acme"        # without one: a public client
    redirect_uris = ["https://app.example/signed-in",
                     "https://rehearsal.example/playgrounds/sign-in/with/acme"]
    organisations = ["acme"]               # who may sign in by it; left out: everybody
    trusted_by = ["acme"]                  # who believes it whose an address is
    hosts = ["keys.acme.example"]          # asked besides the issuer's own host
    algorithms = ["RS256", "ES256"]        # that its proofs may be signed with

The pages offer the providers that may send people back to them, as the second address
above. Whoever runs a provider that an organisation trusts can sign in as any of its
people.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from infra.settings import SetupError
from services.accounts.ports import IdentityProvider
from services.ports import Clock


Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"
]
Name = Annotated[str, Meta(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$(?!\n)")]
Org = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:@-]{1,128}$(?!\n)")]
Host = Annotated[str, Meta(pattern=r"^[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?$(?!\n)")]
Text = Annotated[str, Meta(min_length=1, max_length=200)]
Address = Annotated[str, Meta(max_length=500, pattern=r"^https?://[!-~]+$(?!\n)")]

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Provider(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider as the file describes it."""

    name: Name
    title: Text
    issuer: Address
    client_id: Text
    client_secret_file: str | None = None
    redirect_uris: Annotated[list[Address], Meta(min_length=1, max_length=32)]
    organisations: list[Org] | None = None
    trusted_by: list[Org] = msgspec.field(default_factory=list)
    hosts: list[Host] = msgspec.field(default_factory=list)
    algorithms: Annotated[list[Algorithm], Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: ["RS256", "ES256"]
    )


class ProvidersFile(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """What the file holds."""

    providers: list[Provider]


def read_providers(path: Path) -> dict[str, tuple[Provider, str | None]]:
    """Return the providers of a file, each with its secret, by name.

    Raises `SetupError` that says what is wrong with it.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        found = msgspec.convert(raw, ProvidersFile).providers
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise SetupError(message) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        message = f"{path} is not TOML: {error}"
        raise SetupError(message) from error
    except msgspec.ValidationError as error:
        message = f"{path}: {error}"
        raise SetupError(message) from error
    made: dict[str, tuple[Provider, str | None]] = {}
    for each in found:
        if each.name in made:
            message = f"{path} has two providers {each.name}"
            raise SetupError(message)
        for address in (each.issuer, *each.redirect_uris):
            _check(address, path)
        if urlsplit(each.issuer).query:
            message = f"{path}: {each.issuer} is no issuer: it has a query"
            raise SetupError(message)
        made[each.name] = each, _secret(each, path)
    return made


def is_safe(address: str) -> bool:
    """Say whether nobody can listen: TLS, or this machine."""
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK)


def _check(address: str, path: Path) -> None:
    if not is_safe(address):
        message = f"{path}: {address} is no https:// address"
        raise SetupError(message)


def _secret(provider: Provider, path: Path) -> str | None:
    if provider.client_secret_file is None:
        return None
    file = path.parent / provider.client_secret_file
    try:
        secret = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        message = f"the client secret of {provider.name} cannot be read from {file}"
        raise SetupError(message) from error
    if not secret:
        message = f"{file} holds no client secret for {provider.name}"
        raise SetupError(message)
    return secret


def open_providers(
    path: Path | None, *, clock: Clock
) -> Mapping[str, IdentityProvider]:
    """Return what signs people in by each provider of a file, by name."""
    if path is None:
        return {}
    from infra.identity.oidc import OidcProvider  # noqa: PLC0415 - few installations

    return {
        name: OidcProvider(provider, secret=secret, clock=clock)
        for name, (provider, secret) in read_providers(path).items()
    }
