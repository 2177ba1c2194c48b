"""Letters as RFC 5322 messages."""

from datetime import datetime
from email.errors import MessageError
from email.message import EmailMessage
from email.policy import SMTPUTF8
from email.utils import format_datetime
from typing import Final

from events.errors import Unavailable
from services.accounts.ports import Letter


NO_ADDRESS: Final = "No letter can be sent to this address."


def as_message(letter: Letter, *, sender: str, sent_at: datetime) -> EmailMessage:
    """Return a letter as a message, or raise `Unavailable` for an address of none."""
    message = EmailMessage(policy=SMTPUTF8)
    if not letter.to.isprintable():
        raise Unavailable(NO_ADDRESS)
    try:
        message["From"] = sender
        message["To"] = letter.to
        message["Subject"] = letter.subject
    except (ValueError, MessageError) as error:
        raise Unavailable(NO_ADDRESS) from error
    message["Date"] = format_datetime(sent_at)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text)
    return message
