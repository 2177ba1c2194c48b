"""Codes by mail: proof that somebody reads an address, good once and for minutes.

Whether an address has an account shows in nothing that the asker sees: the answer is
the same, and letters are sent after it.
"""

import asyncio
from typing import Final

import structlog

from events.access.organisations import OrganisationChanged
from events.errors import Failure, Forbidden, Unauthenticated
from services.accounts.limits import SignInLimits
from services.accounts.people import Caller, People
from services.accounts.ports import Letter, Mail, Store
from services.accounts.rates import Rates, network_of
from services.accounts.secrets import Secrets, new_code


SUBJECT: Final = "Your code"
TEXT: Final = """\
Your code for {name} is

    {code}

It is good for {minutes} minutes, and once. If you did not ask for it,
you need not do anything: without this letter nobody can use it.
"""

MOVING: Final = """\
Somebody wants to use this address for their account at {name}.
If it is you, your code is

    {code}

It is good for {minutes} minutes, and once. If it is not you, you need
not do anything: without this letter nobody can use your address.
"""

_log: Final = structlog.get_logger()


class WrongCode(Unauthenticated):
    """The code is not the one that was sent last, or it is good no more."""


class WrongCredentials(Unauthenticated):
    """The address or the password is wrong."""


class NotOpen(Forbidden):
    """One has to be invited to this organisation."""


class Codes:
    """Sends codes, and knows those that it sent."""

    def __init__(
        self,
        *,
        people: People,
        store: Store,
        mail: Mail,
        secrets: Secrets,
        limits: SignInLimits,
    ) -> None:
        self._people = people
        self._store = store
        self._mail = mail
        self._secrets = secrets
        self._limits = limits
        self._rates = Rates(store)
        self._sending: set[asyncio.Task[None]] = set()

    async def start(
        self, org_id: str, email: str, caller: Caller, *, moving: bool = False
    ) -> int:
        """Send a code to an address that may sign in; return its seconds.

        It may where it has an account that is active, or where the organisation is
        open to all. If somebody is `moving` to the address, it is to have no account
        yet. Raises `TooMany`.
        """
        limits = self._limits
        address = self._secrets.address(email)
        network = network_of(caller.ip)
        await self._rates.admit("sign-in-from", network, limits.per_address)
        await self._rates.admit(
            "code-to", f"{org_id}:{address}", limits.codes_per_account
        )
        task = asyncio.create_task(self._send(org_id, email, moving=moving))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)
        return round(limits.code_lifetime.total_seconds())

    async def check(self, org_id: str, email: str, code: str) -> None:
        """Raise `WrongCode` unless the code was sent to the address; it stays good."""
        await self._guess(org_id, email, code, spend=False, path="$.code")

    async def spend(
        self, org_id: str, email: str, code: str, *, path: str = "$.code"
    ) -> None:
        """Use a code up, or raise `WrongCode`, at the path that it came by."""
        await self._guess(org_id, email, code, spend=True, path=path)

    async def _guess(
        self, org_id: str, email: str, code: str, *, spend: bool, path: str
    ) -> None:
        address = self._secrets.address(email)
        digest = self._secrets.code(org_id, address, code.replace(" ", ""))
        if not await self._store.guess_code(org_id, address, digest, spend=spend):
            _log.info("code_refused", org_id=org_id)
            raise WrongCode(path=path)

    async def close(self) -> None:
        """Wait until every letter is on its way."""
        await asyncio.gather(*self._sending, return_exceptions=True)

    async def _send(self, org_id: str, email: str, *, moving: bool) -> None:
        try:
            organisation = await self._people.organisation(org_id)
            found = await self._people.find(org_id, email)
            may = found[1].active if found else is_open(organisation)
            if moving:
                may = found is None
            if not may:
                _log.info("code_not_sent", org_id=org_id)
                return
            limits = self._limits
            code = new_code()
            address = self._secrets.address(email)
            await self._store.keep_code(
                org_id,
                address,
                self._secrets.code(org_id, address, code),
                seconds=round(limits.code_lifetime.total_seconds()),
                guesses=limits.code_guesses,
            )
            half = len(code) // 2
            text = (MOVING if moving else TEXT).format(
                name=organisation.name if organisation else org_id,
                code=f"{code[:half]} {code[half:]}",
                minutes=round(limits.code_lifetime.total_seconds() / 60),
            )
            await self._mail.send(Letter(to=email, subject=SUBJECT, text=text))
        except Failure as failure:
            _log.error("code_not_sent", org_id=org_id, reason=str(failure))
        except Exception:
            _log.exception("code_not_sent", org_id=org_id)
            raise


def is_open(organisation: OrganisationChanged | None) -> bool:
    """Say whether whoever reads an address may register."""
    return organisation is not None and organisation.registration == "open"
