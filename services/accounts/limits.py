"""How often and how long: the documented limits of signing in."""

from datetime import timedelta
from typing import Final

import msgspec

from services.accounts.ports import Rate


MINUTE: Final = timedelta(minutes=1)


class SignInLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The rates are per account or per network address, over all processes."""

    per_address: Rate = Rate(burst=20, period=MINUTE)
    per_account: Rate = Rate(burst=5, period=MINUTE)
    codes_per_account: Rate = Rate(burst=3, period=10 * MINUTE)
    refreshes_per_address: Rate = Rate(burst=240, period=MINUTE)
    code_lifetime: timedelta = 10 * MINUTE
    code_guesses: int = 5
    handshake_lifetime: timedelta = 10 * MINUTE
    access_lifetime: timedelta = 10 * MINUTE
    session_lifetime: timedelta = timedelta(days=30)
    session_idle: timedelta = timedelta(days=14)
    refresh_grace: timedelta = timedelta(seconds=10)
