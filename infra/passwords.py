"""Password hashes: bcrypt over the HMAC of the password, with a key of ours.

bcrypt reads 72 bytes at most and stops at a NUL. So it is given the base64 of the
HMAC-SHA-256 of the whole password: 44 bytes, and worthless without the key. Such a hash
is written `hmac-sha256+` and bcrypt's own text. Argon2id hashes of the password itself,
as other systems export them, are believed too, and replaced at the next sign-in.
"""

import asyncio
from base64 import b64encode
from collections.abc import Callable
from hmac import digest
from typing import Final, TypeVar

import bcrypt

from events.errors import TooMany


PREFIX: Final = "hmac-sha256+"
ARGON: Final = "$argon2id$"
SCHEME: Final = "bcrypt"
AT_A_TIME: Final = 2
WAITING: Final = 32
LEAST_SCORE: Final = 2
NOBODY: Final = "." * 53  # a salt and a hash that no password has
READ: Final = 72  # characters of a password whose strength is looked at

T = TypeVar("T")


class PasswordHasher:
    """Hashes a few passwords at a time, in threads; bcrypt lets others run."""

    def __init__(self, key: bytes, *, cost: int) -> None:
        self._key = key
        self._cost = cost
        self._slots = asyncio.Semaphore(AT_A_TIME)
        self._waiting = 0
        self._nobody = f"{PREFIX}$2b${cost:02}${NOBODY}"

    async def hash(self, password: str) -> str:
        """Return a new hash of a password."""
        return await self._run(lambda: self._hash(password))

    async def matches(self, password: str, hashed: str | None) -> bool:
        """Say whether a hash is of a password; no hash takes as long, and is of none.

        Raises `TooMany` where too many passwords wait for their turn.
        """
        known = hashed or self._nobody
        found = await self._run(lambda: self._matches(password, known))
        return found and hashed is not None

    def is_current(self, hashed: str) -> bool:
        """Say whether a hash is of the scheme and cost of new ones."""
        return hashed.startswith(f"{PREFIX}$2b${self._cost:02}$")

    def scheme(self, hashed: str) -> str:
        """Return the name of a hash's scheme."""
        return "argon2id" if hashed.startswith(ARGON) else SCHEME

    async def weakness(self, password: str, words: tuple[str, ...]) -> str | None:
        """Return why a password is easily guessed, by somebody who knows the words."""
        return await self._run(lambda: weakness(password, words))

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= WAITING:
            raise TooMany("Too many sign in just now.", retry_after=2.0)
        self._waiting += 1
        try:
            async with self._slots:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1

    def _hash(self, password: str) -> str:
        salt = bcrypt.gensalt(self._cost)
        return PREFIX + bcrypt.hashpw(self._reduced(password), salt).decode()

    def _matches(self, password: str, hashed: str) -> bool:
        if hashed.startswith(ARGON):
            return _is_argon(password, hashed)
        known = hashed.removeprefix(PREFIX).encode()
        return bcrypt.checkpw(self._reduced(password), known)

    def _reduced(self, password: str) -> bytes:
        return b64encode(digest(self._key, password.encode(), "sha256"))


def _is_argon(password: str, hashed: str) -> bool:
    import argon2  # noqa: PLC0415 - only hashes from elsewhere need it

    try:
        return argon2.PasswordHasher().verify(hashed, password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


def weakness(password: str, words: tuple[str, ...]) -> str | None:
    """Return why a password is easily guessed, or None.

    It is looked up among the most used passwords, words, names, patterns of the
    keyboard and the words given, as they are and in disguise.
    """
    from zxcvbn import zxcvbn  # noqa: PLC0415 - its lists are large

    found = zxcvbn(password[:READ], user_inputs=list(words))
    if found["score"] >= LEAST_SCORE:
        return None
    hint = found["feedback"]["warning"] or "This password is easily guessed"
    return f"{hint.rstrip('.')}. Take a longer one."
