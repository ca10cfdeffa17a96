"""What is written about settings is what the code has."""

import importlib.util
from types import ModuleType

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
