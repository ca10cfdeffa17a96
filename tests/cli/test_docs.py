"""What is written about settings is what the code has."""

import importlib.util
import re
from types import ModuleType

from hub.auth.revocations import MAX_ENTRIES
from hub.broker.base import EMPTY_S
from hub.namespaces import Namespace
from hub.settings import Settings

from .readme import ROOT


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_settings", ROOT / "docs" / "make_settings.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_settings_is_up_to_date() -> None:
    made = generator()
    assert made.PAGE.read_text() == made.page(), "run make docs"


def test_nothing_is_described_that_is_no_setting() -> None:
    made = generator()
    assert {name for rows in made.SECTIONS.values() for name in rows} <= set(Settings.model_fields)
    assert set(made.RULES) == set(Namespace.model_fields)


def test_the_bounds_of_the_security_page_are_those_of_the_code() -> None:
    """Every setting that it names is one, and the defaults that it gives are the settings'."""
    page = (ROOT / "docs" / "security.md").read_text()
    named = {name.lower() for name in re.findall(r"HUB_([A-Z_]+[A-Z])", page)}
    assert named <= set(Settings.model_fields), named - set(Settings.model_fields)
    settings = Settings(jwt_secret="x" * 32)
    rows = {
        row[3]: row[2]
        for line in page.splitlines()
        if len(row := [cell.strip() for cell in line.split("|")]) == 6
    }
    for setting, bound in (
        ("`HUB_SNAPSHOT_BYTES`", f"{settings.snapshot_bytes >> 20} MiB a node"),
        ("`HUB_TAIL_BYTES`", f"{settings.tail_bytes >> 20} MiB a node"),
        ("`HUB_OUTBOX_BYTES`", f"{settings.outbox_bytes >> 20} MiB"),
        ("`HUB_MAX_CHANNELS`", str(settings.max_channels)),
        ("`HUB_USER_COMMAND_RATE`, `_BURST`", f"{settings.user_command_rate:g} a second"),
        ("`HUB_USER_COMMAND_RATE`, `_BURST`", f"{settings.user_command_burst:,} at once"),
        ("`HUB_COMMAND_RATE`, `_BURST`, `HUB_MAX_PENDING_COMMANDS`", f"{settings.command_rate:g} a second"),
    ):
        assert bound in rows[setting], (setting, bound, rows[setting])
    assert f"{EMPTY_S / 60:g} minutes" in page
    assert f"{MAX_ENTRIES:,}" in page
