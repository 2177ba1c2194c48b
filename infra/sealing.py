"""How personal text is sealed, and how the keys that seal it are wrapped.

A sealed field is `sealed:1:` and the base64url of a random 96-bit nonce and the
AES-256-GCM ciphertext with its tag. Additional data: 16 bytes event id, 16 bytes key
id, then the field's name in UTF-8. So no sealed text can be moved to another event or
field. Random nonces are safe for 2^32 seals with one key (NIST SP 800-38D 8.3).

A wrapped key is 8 bytes that name the master key, a 96-bit nonce and the ciphertext of
the 32-byte data key, with the key id as additional data. A key file holds one or more
master keys of 32 bytes: the first wraps, all unwrap.
"""

import os
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from stat import S_IMODE, S_IRWXO
from typing import Final, Protocol, TypeVar, cast
from uuid import UUID

import msgspec
import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from events.errors import Refused, Unavailable
from events.message import ERASED, Event
from infra.settings import SetupError


PREFIX: Final = "sealed:1:"
KEY_BYTES: Final = 32
SEALS_PER_KEY: Final = 2**32

_NONCE_BYTES: Final = 12
_NAME_BYTES: Final = 8

_log: Final = structlog.get_logger()

E = TypeVar("E", bound=Event)


class ErasedSubject(Refused):
    """The subject was erased; nothing more can be sealed for them."""


class DataKey:
    """The key of one data subject, ready to seal and to open."""

    __slots__ = ("_cipher", "key_id")

    def __init__(self, key_id: UUID, secret: bytes) -> None:
        self.key_id = key_id
        self._cipher = AESGCM(secret)

    def seal(self, event_id: UUID, event: E) -> E:
        """Return the event with its personal text sealed."""

        def sealed(field: str, text: str) -> str:
            nonce = os.urandom(_NONCE_BYTES)
            data = self._cipher.encrypt(
                nonce, text.encode(), self._place(event_id, field)
            )
            return PREFIX + urlsafe_b64encode(nonce + data).decode()

        return _changed(event, sealed)

    def open(self, event_id: UUID, event: E) -> E:
        """Return the event with its sealed text opened.

        Text that was sealed for another place, or changed since, reads as `ERASED`.
        """

        def opened(field: str, text: str) -> str:
            if not text.startswith(PREFIX):
                return text
            try:
                sealed = b64decode(text[len(PREFIX) :], b"-_", validate=True)
                nonce, data = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
                return self._cipher.decrypt(
                    nonce, data, self._place(event_id, field)
                ).decode()
            except (InvalidTag, ValueError):
                _log.error(
                    "seal_broken",
                    event_id=str(event_id),
                    field=field,
                    key_id=str(self.key_id),
                )
                return ERASED

        return _changed(event, opened)

    def _place(self, event_id: UUID, field: str) -> bytes:
        return event_id.bytes + self.key_id.bytes + field.encode()


def erased(event: E) -> E:
    """Return the event with its personal text erased."""
    return _changed(event, lambda _field, _text: ERASED)


def texts(event: Event) -> int:
    """Return how many personal texts an event holds."""
    return sum(getattr(event, field) is not None for field in event.personal)


def subject(event: Event) -> UUID:
    """Return the data subject of a personal event."""
    return cast("PersonalEvent", event).subject_id


class PersonalEvent(Protocol):
    """The part of an event that names its data subject."""

    @property
    def subject_id(self) -> UUID:
        """Return the person whose text the event holds."""
        ...


def _changed(event: E, change: Callable[[str, str], str]) -> E:
    return msgspec.structs.replace(
        event,
        **{
            field: change(field, text)
            for field in event.personal
            if (text := getattr(event, field)) is not None
        },
    )


class MasterKeys:
    """The keys that wrap data keys: the first wraps, all unwrap."""

    def __init__(self, *secrets: bytes) -> None:
        if not secrets or any(len(secret) != KEY_BYTES for secret in secrets):
            message = f"A master key has {KEY_BYTES} bytes."
            raise ValueError(message)
        self._ciphers = {master_name(secret): AESGCM(secret) for secret in secrets}
        self._first = master_name(secrets[0])

    def wrap(self, key_id: UUID, secret: bytes) -> bytes:
        """Return a data key wrapped by the first master key."""
        nonce = os.urandom(_NONCE_BYTES)
        data = self._ciphers[self._first].encrypt(nonce, secret, key_id.bytes)
        return self._first + nonce + data

    def unwrap(self, key_id: UUID, wrapped: bytes) -> bytes:
        """Return a data key, or raise `Unavailable` where no master key fits."""
        cipher = self._ciphers.get(wrapped[:_NAME_BYTES])
        if cipher is None:
            message = (
                f"Key {key_id} is wrapped by master key {wrapped[:_NAME_BYTES].hex()},"
                " which the key file does not hold; add it to the file."
            )
            raise Unavailable(message)
        nonce = wrapped[_NAME_BYTES : _NAME_BYTES + _NONCE_BYTES]
        try:
            return cipher.decrypt(
                nonce, wrapped[_NAME_BYTES + _NONCE_BYTES :], key_id.bytes
            )
        except (InvalidTag, ValueError) as error:
            message = f"Key {key_id} was changed in the key store; restore it."
            raise Unavailable(message) from error


def master_name(secret: bytes) -> bytes:
    """Return the 8 bytes by which wrapped keys name their master key."""
    return sha256(b"rehearsal master key\0" + secret).digest()[:_NAME_BYTES]


def read_master_keys(path: Path) -> MasterKeys:
    """Read a key file, or raise `SetupError` saying what is wrong with it."""
    try:
        mode = S_IMODE(path.stat().st_mode)
        content = path.read_bytes()
    except OSError as error:
        message = f"The key file {path} cannot be read: {error.strerror}."
        raise SetupError(message) from error
    if mode & S_IRWXO:
        message = f"Everybody may use the key file {path}; run chmod 600 on it."
        raise SetupError(message)
    if not content or len(content) % KEY_BYTES:
        message = f"The key file {path} does not hold keys of {KEY_BYTES} bytes each."
        raise SetupError(message)
    return MasterKeys(
        *(content[at : at + KEY_BYTES] for at in range(0, len(content), KEY_BYTES))
    )


def ensure_master_keys(path: Path) -> MasterKeys:
    """Read a key file, made with a new key and for its owner alone if it is missing."""
    if not path.exists():
        _make_key_file(path)
    return read_master_keys(path)


def _make_key_file(path: Path) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(os.urandom(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    with suppress(FileExistsError):
        path.hardlink_to(draft)
    draft.unlink()
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Return when the names of a directory's files are on disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
