"""What is wrong with settings, in words and without a value of theirs."""

from pathlib import Path

import pytest

from hub.cli import configuration
from hub.cli.failure import Failure
from hub.settings import unknown_variables


def wrong(**given: object) -> tuple[str, ...]:
    with pytest.raises(Failure) as caught:
        configuration.load(**given)
    return caught.value.lines


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_each_wrong_setting_has_a_line_by_the_name_under_which_it_was_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HUB_HEARTBEAT_MS", "soon")
    (tmp_path / "hub.toml").write_text("command_rate = 0\n")
    assert wrong(port=70000) == (
        "--port: should be less than or equal to 65535",
        "HUB_HEARTBEAT_MS: should be a valid integer, unable to parse string as an integer",
        "command_rate in hub.toml: should be greater than 0",
    )


def test_no_value_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_API_KEYS", "a-secret-that-is-no-json")
    monkeypatch.setenv("HUB_ALLOWED_ORIGINS", "https://app.example.com")
    lines = wrong()
    assert [line.partition(" ")[0] for line in lines] == ["HUB_API_KEYS", "HUB_ALLOWED_ORIGINS"]
    assert all("must be JSON, as in HUB_" in line for line in lines)
    assert "a-secret" not in "".join(lines)


def test_kubernetes_own_variable_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_PORT", "tcp://10.0.0.1:8000")
    (line,) = wrong()
    assert "Kubernetes sets HUB_PORT" in line
    assert "enableServiceLinks" in line


def test_rules_of_namespaces_are_named_by_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_NAMESPACES", '{"chat":{"mode":"loud"},"doc":{"history_ttl":1000000}}')
    assert sorted(wrong()) == [
        "HUB_NAMESPACES[chat][mode]: should be 'log', 'state' or 'ephemeral'",
        "HUB_NAMESPACES[doc]: meta_ttl must be at least history_ttl: a numbering outlives its events",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("prot = 1\n", "prot in hub.toml is no setting; did you mean port?"),
        ("port = \n", "hub.toml: Invalid value (at line 1, column 8)"),
        (b"\xff", "hub.toml can't be read: UnicodeDecodeError"),
    ],
)
def test_a_file_that_is_wrong(text: str | bytes, line: str, tmp_path: Path) -> None:
    (tmp_path / "hub.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert wrong() == (line,)


def test_arguments_win_over_the_environment_and_the_environment_over_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "hub.toml").write_text('port = 1\nhost = "127.0.0.2"\nprefix = "own"\n')
    monkeypatch.setenv("HUB_PORT", "2")
    monkeypatch.setenv("HUB_HOST", "127.0.0.3")
    settings = configuration.load(port=3, host=None)
    assert (settings.port, settings.host, settings.prefix) == (3, "127.0.0.3", "own")


def test_variables_that_are_no_settings_are_told() -> None:
    environment = {
        "HUB_JWT_SECRT": "x",
        "HUB_COFFEE": "x",
        "HUB_URL": "x",
        "HUB_CONFIG": "x",
        "HUB_SERVICE_HOST": "x",
        "HUB_PORT_8000_TCP_ADDR": "x",
        "hub_port": "x",
        "PATH": "x",
    }
    assert unknown_variables(environment) == [
        "HUB_COFFEE is no setting",
        "HUB_JWT_SECRT is no setting; did you mean HUB_JWT_SECRET?",
    ]
