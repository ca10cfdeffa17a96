"""Centrifugo's channel names and the hub's: each has one other."""

import pytest

from hub.centrifugo.names import CentrifugoNames, HubNames, is_private
from hub.protocol.errors import HubError

NAMES = CentrifugoNames("plain")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("news", "plain:news"),
        ("chat:1", "chat:1"),
        ("chat:1:2", "chat:1:2"),
        ("#42", "user:42"),
        ("#a:b", "user:a:b"),
        ("$news", "plain:$news"),
        ("$chat:1", "chat:$1"),
        ("$", "plain:$"),
        ("#", "user:"),
    ],
)
def test_there_and_back(theirs: str, ours: str) -> None:
    assert NAMES.inward(theirs) == ours
    assert NAMES.outward(ours) == theirs
    assert is_private(ours) is theirs.startswith("$")


@pytest.mark.parametrize(
    ("name", "called"), [("plain:news", "news"), ("user:42", "#42"), ("chat:$1", r"\$chat:1")]
)
def test_a_second_name_of_a_channel_is_refused_by_its_first(name: str, called: str) -> None:
    with pytest.raises(HubError, match=f"called {called} here"):
        NAMES.inward(name)


def test_without_them_names_are_the_hubs() -> None:
    assert HubNames().inward("#42") == HubNames().outward("#42") == "#42"
