"""Letters leave by SMTP or into a folder, whole, to one address and no other."""

from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from stat import S_IMODE
from typing import Any, Final

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from events.errors import Unavailable
from infra.believing import mailer
from infra.clock import new_id, now
from infra.embedded.server import free_port
from infra.mail.outbox import Outbox
from infra.mail.smtp import SmtpMail
from infra.settings import Settings, SettingsError
from services.accounts.ports import Letter


SENDER: Final = "desk@library.example"
LETTER: Final = Letter(
    to="ines@library.example", subject="Your code", text="1234 5678\nGrüße.\n"
)


class Post:
    """A server that keeps what it is handed."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    async def handle_DATA(  # noqa: N802 - as aiosmtpd calls it
        self,
        _server: object,
        _session: object,
        envelope: Any,  # noqa: ANN401 - untyped
    ) -> str:
        self.kept.append(envelope)
        return "250 OK"


@contextmanager
def served(post: Post, **options: Any) -> Iterator[int]:  # noqa: ANN401 - aiosmtpd names them
    port = free_port()
    controller = Controller(post, hostname="127.0.0.1", port=port, **options)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


def read(content: bytes) -> EmailMessage:
    message = message_from_bytes(content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def is_the_letter(message: EmailMessage) -> bool:
    assert message["To"] == LETTER.to
    assert message["From"] == SENDER
    assert message["Subject"] == LETTER.subject
    assert message["Date"]
    assert message.get_content().replace("\r\n", "\n") == LETTER.text
    return True


async def test_a_letter_is_handed_to_the_server() -> None:
    post = Post()
    with served(post) as port:
        mail = SmtpMail(f"smtp://127.0.0.1:{port}", sender=SENDER, clock=now)
        await mail.send(LETTER)
    (envelope,) = post.kept
    assert envelope.rcpt_tos == [LETTER.to]
    assert is_the_letter(read(envelope.content))


async def test_a_password_is_sent_to_no_server_that_cannot_encrypt() -> None:
    seen: list[object] = []

    def authenticate(*given: object) -> AuthResult:
        seen.append(given)
        return AuthResult(success=True)

    post = Post()
    options = {"authenticator": authenticate, "auth_require_tls": False}
    with served(post, **options) as port:
        mail = SmtpMail(
            f"smtp://desk:secret@127.0.0.1:{port}", sender=SENDER, clock=now
        )
        with pytest.raises(Unavailable):
            await mail.send(LETTER)
    assert (seen, post.kept) == ([], [])


async def test_a_server_that_is_away_is_unavailable() -> None:
    mail = SmtpMail(f"smtp://127.0.0.1:{free_port()}", sender=SENDER, clock=now)
    with pytest.raises(Unavailable):
        await mail.send(LETTER)


async def test_a_letter_into_a_folder_is_readable_by_its_owner_only(
    tmp_path: Path,
) -> None:
    outbox = Outbox(tmp_path / "out", sender=SENDER, clock=now, ids=new_id)
    for _ in range(3):
        await outbox.send(LETTER)
    paths = sorted((tmp_path / "out").iterdir())
    assert [path.suffix for path in paths] == [".eml"] * 3
    assert all(is_the_letter(read(path.read_bytes())) for path in paths)
    assert {S_IMODE(path.stat().st_mode) for path in paths} == {0o600}
    assert S_IMODE((tmp_path / "out").stat().st_mode) == 0o700


async def test_a_folder_that_cannot_be_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    outbox = Outbox(tmp_path / "out", sender=SENDER, clock=now, ids=new_id)
    with pytest.raises(Unavailable):
        await outbox.send(LETTER)


@pytest.mark.parametrize("to", ["a@b.example\r\nBcc: c@d.example", "a@b\0.example"])
async def test_an_address_adds_no_line_to_a_letter(tmp_path: Path, to: str) -> None:
    outbox = Outbox(tmp_path / "out", sender=SENDER, clock=now, ids=new_id)
    with pytest.raises(Unavailable):
        await outbox.send(Letter(to=to, subject="Your code", text="1"))
    assert not (tmp_path / "out").exists()


def test_the_settings_choose_how_mail_leaves(tmp_path: Path) -> None:
    assert isinstance(mailer(Settings(data_dir=tmp_path)), Outbox)
    server = Settings(mail_server="smtp://desk:secret@mail.library.example")
    assert isinstance(mailer(server), SmtpMail)
    assert "secret" not in repr(server)
    for address in ("smtp://", "smtp://host:99999"):
        with pytest.raises(SettingsError):
            mailer(Settings(mail_server=address))
