"""The part of the composition root that knows who is believed, and who signs in.

It is apart from the rest because what reads and checks tokens is large, and most
commands of an operator have nothing to do with it.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from uuid import UUID

from infra.clock import new_id, now
from infra.identity.providers import open_providers
from infra.passwords import PasswordHasher
from infra.postgres.service_tokens import (
    PostgresTokenStore,
    follow_service_tokens,
    learn_service_tokens,
)
from infra.postgres.sign_in import (
    PostgresCounter,
    PostgresStore,
    follow_ended,
    keep_sign_in_pruned,
)
from infra.settings import Settings, require
from infra.tokens import (
    Issuer,
    TokenVerifier,
    development_key,
    read_private_key,
    read_public_key,
)
from infra.wiring import Core
from services import guard
from services.accounts.accounts import Accounts
from services.accounts.codes import Codes
from services.accounts.identities import Identities
from services.accounts.limits import SignInLimits
from services.accounts.people import People
from services.accounts.ports import Mail
from services.accounts.secrets import Secrets
from services.accounts.service_tokens import BearerVerifier, Known, ServiceTokens
from services.accounts.sessions import Sessions
from services.admission import Admission
from services.handling import Handler
from services.routing import DECIDER_OF


def issuer(settings: Settings) -> Issuer | None:
    """Return the development issuer of an embedded stack, and none elsewhere."""
    if not settings.embedded:
        return None
    return Issuer(
        development_key(settings.data_dir),
        issuer=settings.token_issuer,
        audience=settings.token_audience,
        clock=now,
    )


def signer(settings: Settings) -> Issuer | None:
    """Return what signs the tokens of those who sign in here, if anybody does."""
    path = settings.token_private_key_file
    if path is None:
        return issuer(settings)
    return Issuer(
        read_private_key(path),
        issuer=settings.token_issuer,
        audience=settings.token_audience,
        clock=now,
    )


@asynccontextmanager
async def signing_in(
    settings: Settings, parts: Core, ended: dict[UUID, int]
) -> AsyncIterator[Accounts | None]:
    """Open what registers and signs in people, if tokens are signed here.

    `ended` comes to hold the sessions that ended or were outdated lately, in whatever
    process, with the last generation whose tokens are believed no more.
    """
    signs = signer(settings)
    if signs is None:
        yield None
        return
    secrets = Secrets(await parts.vault.secret("accounts"))
    store = PostgresStore(parts.pool, ended)
    mail = mailer(settings)
    limits = SignInLimits()
    people = _people(settings, parts, secrets)
    codes = Codes(people=people, store=store, mail=mail, secrets=secrets, limits=limits)
    sessions = Sessions(
        people=people,
        store=store,
        secrets=secrets,
        issuer=signs,
        region=settings.region,
        limits=limits,
        clock=now,
        ids=new_id,
    )
    following = [
        asyncio.create_task(follow_ended(parts.pool, ended)),
    ]
    try:
        yield Accounts(
            people=people,
            codes=codes,
            sessions=sessions,
            identities=Identities(
                providers=open_providers(settings.identity_providers_file, clock=now),
                people=people,
                sessions=sessions,
                store=store,
                secrets=secrets,
                limits=limits,
                ids=new_id,
            ),
            store=store,
            hasher=PasswordHasher(secrets.password, cost=settings.password_cost),
            mail=mail,
            secrets=secrets,
            limits=limits,
            ids=new_id,
        )
    finally:
        await codes.close()
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)


def _people(settings: Settings, parts: Core, secrets: Secrets) -> People:
    return People(
        handler=Handler(log=parts.log, deciders=DECIDER_OF, guard=guard.check_sign_in),
        secrets=secrets,
        region=settings.region,
        clock=now,
        ids=new_id,
    )


@dataclass(frozen=True, kw_only=True)
class Bearers:
    """What believes bearer tokens, and what gives services theirs."""

    verifier: BearerVerifier
    service_tokens: ServiceTokens


@asynccontextmanager
async def bearers(
    settings: Settings, parts: Core, ended: Mapping[UUID, int] = MappingProxyType({})
) -> AsyncIterator[Bearers]:
    """Open what believes signed tokens and those of services, in whatever process."""
    known = Known()
    learned = await learn_service_tokens(parts.pool, known)
    following = [
        asyncio.create_task(follow_service_tokens(parts.pool, known, learned)),
        asyncio.create_task(keep_sign_in_pruned(parts.pool)),
    ]
    secrets = Secrets(await parts.vault.secret("accounts"))
    try:
        yield Bearers(
            verifier=BearerVerifier(
                known,
                others=verifier(settings, ended),
                region=settings.region,
                clock=now,
            ),
            service_tokens=ServiceTokens(
                people=_people(settings, parts, secrets),
                store=PostgresTokenStore(parts.pool, known),
                clock=now,
                ids=new_id,
            ),
        )
    finally:
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)


def admission(settings: Settings, parts: Core) -> Admission | None:
    """Return what limits how many commands a caller sends, if anything does."""
    if not settings.commands_per_minute:
        return None
    return Admission(
        PostgresCounter(parts.pool), per_minute=settings.commands_per_minute
    )


def mailer(settings: Settings) -> Mail:
    """Return what sends mail: a server of the settings, or a folder."""
    if settings.mail_server is not None:
        from infra.mail.smtp import SmtpMail  # noqa: PLC0415 - large, for few processes

        return SmtpMail(settings.mail_server, sender=settings.mail_from, clock=now)
    from infra.mail.outbox import OUTBOX, Outbox  # noqa: PLC0415 - as above

    folder = settings.data_dir / OUTBOX
    return Outbox(folder, sender=settings.mail_from, clock=now, ids=new_id)


def verifier(
    settings: Settings, ended: Mapping[UUID, int] = MappingProxyType({})
) -> TokenVerifier:
    """Return what verifies bearer tokens with the keys of the settings."""
    keys = [read_public_key(path) for path in settings.token_public_key_files]
    if settings.token_private_key_file is not None:
        keys.append(read_public_key(settings.token_private_key_file))
    if settings.embedded:
        keys.append(development_key(settings.data_dir).public_key())
    elif not keys:
        require(settings, "token_public_key_files")
    return TokenVerifier(
        keys,
        issuer=settings.token_issuer,
        audience=settings.token_audience,
        region=settings.region,
        clock=now,
        ended=ended,
    )
