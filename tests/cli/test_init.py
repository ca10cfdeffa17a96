"""``hub init``, and slips of a newcomer: a word of the command line, a pattern that matches nothing."""

import contextlib
import io
import json
import stat
import tomllib
from pathlib import Path

import pytest

from hub.auth.dead_patterns import why_dead
from hub.cli import main
from hub.namespaces import Namespaces
from hub.settings import Settings

from .command import hub

SECRET = "s" * 64


def test_it_writes_settings_and_an_environment_that_fit(tmp_path: Path) -> None:
    result = hub("init", "--port", "8123", folder=tmp_path)
    assert (result.status, result.err) == (0, "")
    written = tomllib.loads((tmp_path / "hub.toml").read_text())
    given = dict(line.split("=", 1) for line in (tmp_path / ".env").read_text().splitlines())
    assert given == {
        "HUB_URL": "http://127.0.0.1:8123",
        "HUB_API_KEY": written["api_keys"]["backend"],
        "HUB_JWT_SECRET": written["jwt_secret"],
    }
    assert Settings(**written).port == 8123
    for name in ("hub.toml", ".env"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    for secret in (given["HUB_API_KEY"], given["HUB_JWT_SECRET"]):
        assert secret not in result.out
    assert hub("check", folder=tmp_path).status == 0
    assert written["api_keys"]["ops"]["admin"] == "write"
    assert written["api_keys"]["ops"]["key"] not in result.out
    for line in ("  hub dev", "  hub subscribe job:42", "  hub publish job:42 job_status "):
        assert line in result.out


def test_it_leaves_alone_what_is_there(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MINE=1\n")
    first = hub("init", folder=tmp_path)
    key = tomllib.loads((tmp_path / "hub.toml").read_text())["api_keys"]["backend"]
    assert f"HUB_API_KEY={key}" in first.out
    assert (tmp_path / ".env").read_text() == "MINE=1\n"
    second = hub("init", folder=tmp_path)
    assert (second.status, second.out) == (1, "")
    assert second.err == "hub: hub.toml is there already: nothing was written\n"
    assert key in (tmp_path / "hub.toml").read_text()


def test_a_file_of_settings_by_name(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text(f'jwt_secret = "{SECRET}"\nport = "x"\n')
    for args, more in ((("--config", "other.toml"), {}), ((), {"config": "other.toml"})):
        result = hub("check", *args, folder=tmp_path, **more)
        assert "port in other.toml: should be a valid integer" in result.out, more
    missing = hub("token", "--user", "ann", "--config", "nix.toml", folder=tmp_path)
    assert missing.status == 1
    assert missing.err == "hub: there is no file nix.toml (HUB_CONFIG, or --config)\n"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (("serv",), "there is no serv; did you mean serve?"),
        (("run",), "there is no run; did you mean serve?"),
        (("deadletters", "lst"), "there is no lst; did you mean list?"),
        (("xyzzy",), "there is no xyzzy; there are init, serve, dev, token,"),
    ],
)
def test_a_word_that_is_no_command(typed: tuple[str, ...], meant: str) -> None:
    said = io.StringIO()
    with pytest.raises(SystemExit) as ended, contextlib.redirect_stderr(said):
        main([*typed])
    assert ended.value.code == 2
    assert meant in said.getvalue()


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("jobs", "there is no colon in it; did you mean job:*?"),
        ("*jobs*", None),
        ("jobs:*", "there is no namespace jobs here; did you mean job:*?"),
        ("tenants*", "no namespace here begins with tenants"),
        ("job:", "after the colon stand 1 to 200"),
        ("job:a b", "after the colon stand 1 to 200"),
        ("job:a/*", "after the colon stand 1 to 200"),
        ("job:*", None),
        ("*", None),
        ("j*", None),
        ("*:42", None),
        ("job:*:log", None),
        ("hub:*", None),
        ("user:{org}:*", None),
        ("{role}:*", None),
    ],
)
def test_patterns_that_can_match_nothing(pattern: str, why: str | None) -> None:
    found = why_dead(pattern, Namespaces.shipped())
    assert (found is None) == (why is None), found
    assert (why or "") in (found or "")


def test_a_token_with_such_a_pattern_is_made_and_told(tmp_path: Path) -> None:
    args = ("token", "--user", "ann", "--subscribe", "jobs", "job:*")
    result = hub(*args, folder=tmp_path, jwt_secret=SECRET)
    assert result.status == 0
    assert result.out.startswith("eyJ")
    (line,) = result.err.splitlines()
    assert line.startswith("hub: --subscribe jobs matches no channel: a channel is named namespace:rest")


def test_keys_and_roles_with_such_patterns_are_noted(tmp_path: Path) -> None:
    keys = json.dumps({"worker": {"key": "k" * 16, "publish": ["jobs:*", "job:*"]}})
    roles = json.dumps({"operator": {"subscribe": ["jbo:*"]}})
    result = hub("check", folder=tmp_path, jwt_secret=SECRET, api_keys=keys, roles=roles)
    for line in (
        "HUB_API_KEYS: worker: jobs:* matches no channel",
        "HUB_ROLES: operator: jbo:* matches no channel",
    ):
        assert f"note     {line}" in result.out
