"""Names: how people change the address and the user name of their account.

Another address takes two proofs: that they read it, and that the account is theirs,
which a stolen token does not show. Whoever reads the old address is told.
"""

from typing import Final
from uuid import UUID

import structlog

from events.errors import Unavailable
from events.ids import UserId
from services.access.common import Deactivated
from services.access.users import ChangeEmail, ChangeUsername, User, holder
from services.accounts.codes import Codes, WrongCredentials
from services.accounts.limits import SignInLimits
from services.accounts.people import Caller, People
from services.accounts.ports import Hasher, Letter, Mail, Store
from services.accounts.rates import Rates, network_of
from services.accounts.secrets import Secrets


MOVED: Final = "Your address was changed"
TOLD: Final = """\
Your account at {name} has another address now. This one signs in
there no more. If it was not you, tell the administrators there.
"""

_log: Final = structlog.get_logger()


class Names:
    """Changes what accounts are known by."""

    def __init__(
        self,
        *,
        people: People,
        codes: Codes,
        store: Store,
        hasher: Hasher,
        mail: Mail,
        secrets: Secrets,
        limits: SignInLimits,
    ) -> None:
        self._people = people
        self._codes = codes
        self._store = store
        self._hasher = hasher
        self._mail = mail
        self._secrets = secrets
        self._limits = limits
        self._rates = Rates(store)

    async def ask_to_move(
        self, org_id: str, user_id: UUID, *, email: str, caller: Caller
    ) -> int:
        """Send a code to the address that is to be a user's; return its seconds.

        One that has an account gets none, and the answer does not tell. Raises
        `Deactivated` or `TooMany`.
        """
        await self._active(org_id, user_id)
        return await self._codes.start(org_id, email, caller, moving=True)

    async def move(
        self,
        org_id: str,
        user_id: UUID,
        *,
        email: str,
        code: str,
        password: str | None,
        current_code: str | None,
        caller: Caller,
    ) -> int:
        """Change a user's address to one that `code` was sent to; return the position.

        The password, or a code that was sent to the address in use, shows whose the
        account is. Raises `WrongCode`, `WrongCredentials` or `EmailTaken`.
        """
        user = await self._active(org_id, user_id)
        before = user.address.email
        await self._admit(org_id, before, caller)
        await self._codes.check(org_id, email, code)
        if current_code is not None:
            await self._codes.spend(org_id, before, current_code, path="$.current_code")
        elif not await self._hasher.matches(
            password or "", await self._store.password(user_id)
        ):
            raise WrongCredentials("The password is wrong.", path="$.password")
        outcome = await self._people.record(
            ChangeEmail(
                user_id=UserId(user_id),
                email=email,
                email_hmac=self._secrets.address(email),
            ),
            caller,
            org_id=org_id,
            actor=holder(user_id),
        )
        await self._codes.spend(org_id, email, code)
        if outcome.events:
            await self._tell(org_id, before)
        return outcome.position

    async def rename(
        self, org_id: str, user_id: UUID, *, username: str, caller: Caller
    ) -> int:
        """Change a user's user name; return the position, or raise `UsernameTaken`."""
        user = await self._active(org_id, user_id)
        await self._admit(org_id, user.address.email, caller)
        outcome = await self._people.record(
            ChangeUsername(
                user_id=UserId(user_id),
                username=username,
                username_hmac=self._secrets.username(username),
            ),
            caller,
            org_id=org_id,
            actor=holder(user_id),
        )
        return outcome.position

    async def _active(self, org_id: str, user_id: UUID) -> User:
        user = await self._people.user(org_id, user_id)
        if not user.active:
            raise Deactivated
        return user

    async def _admit(self, org_id: str, email: str, caller: Caller) -> None:
        account = f"{org_id}:{self._secrets.address(email)}"
        network = network_of(caller.ip)
        await self._rates.admit("sign-in-from", network, self._limits.per_address)
        await self._rates.admit("sign-in-to", account, self._limits.per_account)

    async def _tell(self, org_id: str, email: str) -> None:
        organisation = await self._people.organisation(org_id)
        text = TOLD.format(name=organisation.name if organisation else org_id)
        try:
            await self._mail.send(Letter(to=email, subject=MOVED, text=text))
        except Unavailable as error:
            _log.warning("change_not_told", org_id=org_id, reason=str(error))
