"""Mail over SMTP: encrypted wherever the server offers it, and always to log in."""

from typing import Final
from urllib.parse import unquote, urlsplit

from events.errors import Unavailable
from infra.mail.letters import as_message
from infra.settings import SettingsError
from services.accounts.ports import Letter
from services.ports import Clock


SECONDS: Final = 20.0
PORTS: Final = {"smtp": 587, "smtps": 465}


class SmtpMail:
    """Hands letters to the server of an address, smtp://user:password@host:port."""

    def __init__(self, address: str, *, sender: str, clock: Clock) -> None:
        parts = urlsplit(address)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if not parts.hostname or parts.scheme not in PORTS or port == -1:
            message = "REHEARSAL_MAIL_SERVER is no smtp:// address with a host"
            raise SettingsError(message)
        self._host = parts.hostname
        self._port = port or PORTS[parts.scheme]
        self._tls = parts.scheme == "smtps"
        self._username = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else None
        self._sender = sender
        self._clock = clock

    async def send(self, letter: Letter) -> None:
        """Hand a letter over, or raise `Unavailable`.

        With a password the connection must be encrypted; else it is where it can be.
        """
        import aiosmtplib  # noqa: PLC0415 - few processes send mail

        message = as_message(letter, sender=self._sender, sent_at=self._clock())
        must_encrypt = self._password is not None and not self._tls
        try:
            await aiosmtplib.send(
                message,
                hostname=self._host,
                port=self._port,
                username=self._username,
                password=self._password,
                use_tls=self._tls,
                start_tls=True if must_encrypt else None,
                timeout=SECONDS,
            )
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            why = f"The mail server took no letter: {type(error).__name__}."
            raise Unavailable(why) from error
