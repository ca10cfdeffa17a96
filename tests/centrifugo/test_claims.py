"""What Centrifugo's tokens say."""

import base64
from typing import Any

import pytest

from hub.auth.channel_right import ChannelRight
from hub.auth.identity import Identity
from hub.centrifugo.names import CentrifugoNames, shown_user
from hub.centrifugo.tokens import ENDLESS, CentrifugoClaims
from hub.namespaces import Namespace, Namespaces
from hub.protocol.errors import HubError

NOW = 1_800_000_000.0
OPEN = Namespace(client_subscribe=True)
TABLE = Namespaces({"plain": OPEN, "chat": Namespace(), "user": Namespace()})


def read(personal: bool = False, **found: Any) -> Identity | ChannelRight:
    reader = CentrifugoClaims(CentrifugoNames("plain"), TABLE, personal=personal)
    return reader.read(None, found, NOW, 10.0)  # type: ignore[arg-type]


def who(personal: bool = False, **found: Any) -> Identity:
    identity = read(personal, **found)
    assert isinstance(identity, Identity)
    return identity


def test_a_user_and_what_is_open_to_them() -> None:
    ann = who(sub="ann")
    assert ann.user == ann.name == "ann"
    assert ann.expires_at == ENDLESS
    for may in (ann.may_subscribe, ann.may_publish, ann.may_presence):
        assert may("plain:news")
        assert may("user:ann")
        assert not may("user:bob")
        assert not may("chat:1")
        assert not may("plain:$news")
        assert not may("hub:clients")


def test_what_the_token_brings_along() -> None:
    ann = who(sub="ann", channels=["news", "$secret", "chat:1"], subs={"chat:2": {}, "news": {}})
    assert ann.channels == ("plain:news", "plain:$secret", "chat:1", "chat:2")
    assert ann.may_subscribe("plain:$secret")
    assert ann.may_publish("chat:2")
    assert who(sub="ann", personal=True).channels == ("user:ann",)


@pytest.mark.parametrize(
    ("claims", "ends"),
    [
        ({"exp": NOW + 60}, NOW + 60),
        ({"exp": NOW + 60, "expire_at": NOW + 600}, NOW + 600),
        ({"exp": NOW + 60, "expire_at": 0}, ENDLESS),
        ({"expire_at": NOW + 5}, NOW + 5),
    ],
)
def test_when_it_ends(claims: dict[str, Any], ends: float) -> None:
    assert read(sub="ann", **claims).expires_at == ends
    assert read(sub="ann", channel="news", **claims).expires_at == ends


class TestNobody:
    def reader(self) -> CentrifugoClaims:
        table = Namespaces(
            {
                "plain": OPEN,
                "lobby": Namespace(client_subscribe=True, client_anonymous=True, client_publish=True),
                "half": Namespace(client_anonymous=True),
            }
        )
        return CentrifugoClaims(CentrifugoNames("plain"), table, personal=True, anonymous=True)

    def test_listens_where_that_is_open_to_nobody(self) -> None:
        nobody = self.reader().nobody()
        assert nobody.may_subscribe("lobby:1")
        assert not nobody.may_subscribe("lobby:$1")
        for channel in ("plain:news", "half:1", "user:ann", "hub:clients"):
            assert not nobody.may_subscribe(channel)
        assert not nobody.may_publish("lobby:1")
        assert not nobody.may_presence("lobby:1")

    def test_each_is_another(self) -> None:
        reader = self.reader()
        assert reader.nobody().user != reader.nobody().user
        assert shown_user(reader.nobody().user) == ""

    @pytest.mark.parametrize("sub", [{}, {"sub": ""}, {"sub": None}])
    def test_by_a_token_of_nobody(self, sub: dict[str, Any]) -> None:
        found = {**sub, "channels": ["news"], "exp": NOW + 60}
        nobody = self.reader().read(None, found, NOW, 10.0)  # type: ignore[arg-type]
        assert isinstance(nobody, Identity)
        assert nobody.channels == ("plain:news",)
        assert nobody.expires_at == NOW + 60
        assert shown_user(nobody.user) == ""

    def test_a_channels_token_has_a_user(self) -> None:
        with pytest.raises(HubError, match="sub is missing"):
            self.reader().read(None, {"channel": "news"}, NOW, 10.0)  # type: ignore[arg-type]


def test_a_channels_token() -> None:
    right = read(sub="ann", channel="$chat:1", info={"a": 1}, jti="j", iat=NOW)
    assert isinstance(right, ChannelRight)
    assert (right.user, right.channel, right.info, right.jti) == ("ann", "chat:$1", b'{"a":1}', "j")
    assert right.publish
    assert right.presence


def test_info_in_either_form() -> None:
    encoded = base64.b64encode(b'{"name": "Ann"}').decode()
    assert read(sub="ann", b64info=encoded).info == read(sub="ann", info={"name": "Ann"}).info


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({}, "claim sub is missing"),
        ({"sub": ""}, "claim sub must have 1 to 256"),
        ({"sub": "ann", "exp": NOW - 1}, "expired 1 s ago"),
        ({"sub": "ann", "expire_at": NOW - 1}, "ended 1 s ago"),
        ({"sub": "ann", "expire_at": "soon"}, "claim expire_at must be a number"),
        ({"sub": "ann", "channels": "news"}, "claim channels must be a list"),
        ({"sub": "ann", "channels": [1]}, r"claim channels\[0\] must be a string"),
        ({"sub": "ann", "channels": ["a*"]}, r"claim channels\[0\]: the character \*"),
        ({"sub": "ann", "channels": ["hub:x"]}, "not given away"),
        ({"sub": "ann", "subs": ["x"]}, "claim subs must be an object"),
        ({"sub": "ann", "subs": {"plain:x": {}}}, "called x here"),
        ({"sub": "ann", "channel": 1}, "claim channel must be a string"),
        ({"sub": "ann", "b64info": "%"}, "claim b64info must be JSON in base64"),
        ({"sub": "ann", "b64info": base64.b64encode(b"no").decode()}, "claim b64info must be JSON"),
        ({"sub": "ann", "b64info": 1}, "claim b64info must be JSON"),
    ],
)
def test_what_is_not_taken(claims: dict[str, Any], why: str) -> None:
    with pytest.raises(HubError, match=why):
        read(**claims)
