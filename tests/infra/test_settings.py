"""Settings: every source, every mistake named, no secret shown."""

from pathlib import Path

import pytest

from infra.settings import (
    Settings,
    SettingsError,
    load_settings,
    printable,
    redacted,
    require,
)


def test_without_anything_the_stack_is_embedded() -> None:
    settings = load_settings(environment={"HOME": "/home/someone"})
    assert settings == Settings()
    assert settings.embedded


def test_the_environment_is_converted() -> None:
    settings = load_settings(
        environment={
            "REHEARSAL_HTTP_PORT": "8123",
            "REHEARSAL_MAX_WAIT_SECONDS": "2.5",
            "REHEARSAL_DATA_DIR": "data",
            "REHEARSAL_TOKEN_PUBLIC_KEY_FILES": "one.pem,two.pem",
            "REHEARSAL_APP_URL": "postgresql://app:secret@db/rehearsal",
        }
    )
    assert settings.http_port == 8123
    assert settings.max_wait_seconds == 2.5
    assert settings.data_dir == Path("data")
    assert settings.token_public_key_files == (Path("one.pem"), Path("two.pem"))
    assert not settings.embedded


def test_the_environment_wins_over_the_file_and_the_command_line_over_both(
    tmp_path: Path,
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('http_port = 1\nadmin_port = 2\nregion = "north"\n')
    settings = load_settings(
        {"admin_port": 4, "region": None},
        environment={
            "REHEARSAL_SETTINGS": str(file),
            "REHEARSAL_HTTP_PORT": "3",
            "REHEARSAL_ADMIN_PORT": "3",
        },
    )
    assert (settings.http_port, settings.admin_port) == (3, 4)
    assert settings.region == "north"


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        (
            "REHEARSAL_HTTP_PROT",
            "1",
            "REHEARSAL_HTTP_PROT is no setting, did you mean REHEARSAL_HTTP_PORT",
        ),
        ("REHEARSAL_ZZZ", "1", "REHEARSAL_ZZZ is no setting$"),
        ("REHEARSAL_http_port", "1", "REHEARSAL_http_port is no setting"),
        ("REHEARSAL_HTTP_PORT", "many", r"REHEARSAL_HTTP_PORT: Expected `int`.*'many'"),
        ("REHEARSAL_HTTP_PORT", "70000", "REHEARSAL_HTTP_PORT: Expected `int` <= 655"),
        ("REHEARSAL_HTTP_PORT", "1" + "0" * 30, "REHEARSAL_HTTP_PORT: "),
        ("REHEARSAL_LOG_LEVEL", "loud", "REHEARSAL_LOG_LEVEL: Invalid enum value"),
        ("REHEARSAL_REGION", "", "REHEARSAL_REGION: Expected `str` of length >= 1"),
        ("REHEARSAL_SETTINGS", "nowhere.toml", "nowhere.toml cannot be read: No such"),
    ],
)
def test_a_mistake_is_named(variable: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_settings(environment={variable: value})


def test_a_wrong_address_is_named_but_not_shown() -> None:
    with pytest.raises(SettingsError, match="REHEARSAL_APP_URL") as refused:
        load_settings(environment={"REHEARSAL_APP_URL": "mysql://app:secret@db"})
    assert "secret" not in str(refused.value)


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings(
            environment={"REHEARSAL_HTTP_PORT": "x", "REHEARSAL_ADMIN_PORTS": "1"}
        )
    assert "REHEARSAL_HTTP_PORT" in str(refused.value)
    assert "REHEARSAL_ADMIN_PORTS" in str(refused.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("http_prot = 1", "http_prot in .* is no setting, did you mean http_port"),
        ('http_port = "x"', "http_port in .*: Expected `int`"),
        ("http_port = ", "is not TOML"),
        ("http_port = [[[[", "is not TOML"),
    ],
)
def test_a_mistake_in_the_file_is_named(
    tmp_path: Path, content: str, message: str
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(content)
    with pytest.raises(SettingsError, match=message):
        load_settings(environment={"REHEARSAL_SETTINGS": str(file)})


def test_how_tests_run_is_no_setting() -> None:
    environment = {"REHEARSAL_TEST_POSTGRES": "postgresql://db"}
    assert load_settings(environment=environment) == Settings()


def test_what_is_missing_is_named() -> None:
    settings = Settings(app_url="postgresql://db")
    assert require(settings, "app_url") == ("postgresql://db",)
    with pytest.raises(SettingsError, match=r"^REHEARSAL_OWNER_URL and .*READER_URL"):
        require(settings, "app_url", "owner_url", "reader_url")


def test_no_password_is_shown() -> None:
    settings = Settings(
        app_url="postgresql://app:secret@db/x",
        owner_url="postgresql://db/x?user=owner&password=secret",
        data_dir=Path("data"),
    )
    assert "secret" not in f"{settings}{settings!r}{printable(settings)}"
    assert printable(settings)["app_url"] == "postgresql://app:***@db/x"
    assert printable(settings)["data_dir"] == "data"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("to postgresql://a:b@c/d now", "to postgresql://a:***@c/d now"),
        ("amqp://u:p%40w@h and amqp://u:q@h", "amqp://u:***@h and amqp://u:***@h"),
        ("Authorization: Bearer abc.def-g", "Authorization: Bearer ***"),
        ("postgresql://a:b/c@d@e/f", "postgresql://a:***@e/f"),
        ("https://host:8080/path", "https://host:8080/path"),
    ],
)
def test_passwords_and_tokens_are_struck_out(text: str, shown: str) -> None:
    assert redacted(text) == shown
