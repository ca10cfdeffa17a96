"""Rights by roles: the shapes of tokens that providers make, and what nobody can widen by a claim of their own."""

from typing import Any

import pytest

from hub.auth.channel_right import ChannelRight
from hub.auth.explain import explain
from hub.auth.identity import Identity, Level
from hub.auth.keys import Key, StaticKeys
from hub.auth.provider import ProviderTokens
from hub.auth.roles import MAX_PATTERNS, MAX_VALUES, Role, Roles
from hub.auth.tokens import Authenticator
from hub.protocol.errors import HubError

from .conftest import NOW, Clock, Pair, token

OPERATOR = Role({"subscribe": ["job:*"], "presence": ["doc:*"]})
MEMBER = Role({"subscribe": ["tenant:{org}:*"]})

AUTH0 = {
    "iss": "https://acme.eu.auth0.com/",
    "sub": "auth0|507f1f77bcf86cd799439020",
    "aud": ["https://hub.example.com/", "https://acme.eu.auth0.com/userinfo"],
    "azp": "my_client_id",
    "scope": "openid profile read:jobs",
    "https://acme.com/roles": ["operator"],
    "permissions": ["read:jobs"],
}
ENTRA = {
    "iss": "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0",
    "aud": "api://hub",
    "azp": "my_client_id",
    "oid": "00000000-0000-0000-66f3-3332eca7ea81",
    "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
    "tid": "11111111-2222-3333-4444-555555555555",
    "roles": ["operator"],
    "scp": "Jobs.Read",
    "ver": "2.0",
}
COGNITO = {  # an access token: it has no aud and no azp
    "iss": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_abc",
    "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
    "client_id": "my_client_id",
    "cognito:groups": ["operator"],
    "token_use": "access",
    "scope": "openid",
    "username": "ann",
}
OKTA = {
    "iss": "https://acme.okta.com/oauth2/default",
    "sub": "ann@example.com",
    "aud": "api://default",
    "cid": "my_client_id",
    "uid": "00uid4BxXw6I6TV4m0g3",
    "scp": ["openid", "jobs"],
    "groups": ["Everyone", "operator"],
}
FIREBASE = {
    "iss": "https://securetoken.google.com/my-project",
    "sub": "uid1",
    "user_id": "uid1",
    "aud": "my-project",
    "auth_time": int(NOW) - 60,
    "role": "operator",
    "firebase": {"identities": {"email": ["ann@example.com"]}, "sign_in_provider": "password"},
}
SUPABASE = {
    "iss": "https://abc.supabase.co/auth/v1",
    "sub": "d0f1ab5f-0000-0000-0000-000000000000",
    "aud": "authenticated",
    "role": "authenticated",
    "app_metadata": {"provider": "email", "roles": ["operator"]},
    "user_metadata": {"roles": ["root"]},
}
KEYCLOAK = {
    "iss": "https://id.example.com/realms/main",
    "sub": "b7e1c3a4-0000-0000-0000-000000000000",
    "aud": "hub",
    "azp": "my_client_id",
    "preferred_username": "ann",
    "realm_access": {"roles": ["operator", "offline_access"]},
}


@pytest.mark.parametrize(
    ("shape", "path", "audience", "clients"),
    [
        pytest.param(
            AUTH0, "https://acme.com/roles", "https://hub.example.com/", ["my_client_id"], id="auth0"
        ),
        pytest.param(ENTRA, "roles", "api://hub", ["my_client_id"], id="entra"),
        pytest.param(COGNITO, "cognito:groups", None, ["my_client_id"], id="cognito"),
        pytest.param(OKTA, "groups", "api://default", [], id="okta"),
        pytest.param(FIREBASE, "role", "my-project", [], id="firebase"),
        pytest.param(SUPABASE, "app_metadata.roles", "authenticated", [], id="supabase"),
        pytest.param(KEYCLOAK, "realm_access.roles", "hub", ["my_client_id"], id="keycloak"),
    ],
)
async def test_the_tokens_of_providers(
    shape: dict[str, Any],
    path: str,
    audience: str | None,
    clients: list[str],
    pairs: dict[str, Pair],
    clock: Clock,
) -> None:
    provider = ProviderTokens(
        Roles(path, {"operator": OPERATOR, "root": Role(admin=Level.WRITE)}),
        discovered=False,
        issuer=shape["iss"],
        audience=audience,
        clients=clients,
    )
    keys = StaticKeys(public_key=pairs["RS256"].public, algorithms=["RS256"])
    authenticator = Authenticator(keys, clock=clock, provider=provider)
    whole = {**shape, "iat": NOW - 1, "exp": NOW + 60, "hub": {"subscribe": ["*"], "service": True}}
    text = token(whole, pairs["RS256"].private_pem, "RS256")
    found = await authenticator.verify(text)
    assert found.user == shape["sub"]
    assert found.may_subscribe("job:1")
    assert found.may_presence("doc:1")
    assert not found.may_subscribe("doc:1")
    assert not found.service
    assert (found.control, found.admin) == (Level.NONE, Level.NONE)
    lines = await explain(authenticator, text, NOW)
    assert "role operator grants subscribe job:*, presence doc:*" in lines
    # A token for another application of the same provider.
    other = {**whole, "azp": "another", "client_id": "another"} if clients else {**whole, "aud": "another"}
    if clients and "azp" not in shape:
        other.pop("azp")
    with pytest.raises(HubError) as refused:
        await authenticator.verify(token(other, pairs["RS256"].private_pem, "RS256"))
    assert refused.value.code.value == "token_invalid"


def read(by: Roles, /, **claims: Any) -> Identity:
    found = by.read({"sub": "ann", "exp": NOW + 60, **claims}, NOW, 10.0)
    assert isinstance(found, Identity)
    return found


def test_a_token_without_aud_is_refused_where_one_is_needed() -> None:
    provider = ProviderTokens(Roles("roles", {}), discovered=True, audience="hub")
    key = Key("RS256", None, None, "https://id.example")  # type: ignore[arg-type]
    with pytest.raises(HubError, match="claim aud is missing; it must name hub"):
        provider.read(key, {"iss": "https://id.example", "sub": "ann", "exp": NOW + 60}, NOW, 10.0)


def test_a_provider_needs_an_audience_or_its_clients() -> None:
    assert ProviderTokens(Roles(None, {}), discovered=True).problems()
    assert not ProviderTokens(Roles(None, {}), discovered=True, clients=["web"]).problems()
    assert not ProviderTokens(Roles(None, {}), discovered=True, audience="hub").problems()


@pytest.mark.parametrize(
    "org",
    [
        "*",
        "a:b",
        "x" * 10_240,
        "",
        [["a"]],
        [],
        None,
        5,
        True,
        {"a": 1},
        "a b",
        "a/b",
        "a\n",
        "ä",
        "{org}",
        "a%",
    ],
)
def test_a_claim_that_is_no_segment_gives_nothing(org: Any) -> None:
    roles = Roles("groups", {"member": MEMBER})
    found = read(roles, groups=["member"], org=org)
    assert found.grants.subscribe.patterns == ()
    assert not found.may_subscribe("tenant:a:b")


def test_each_of_a_list_counts_up_to_a_bound() -> None:
    roles = Roles("groups", {"member": MEMBER})
    found = read(roles, groups=["member"], org=["acme", "*", 5, "beta"])
    assert found.grants.subscribe.patterns == ("tenant:acme:*", "tenant:beta:*")
    many = read(roles, groups=["member"], org=[f"o{n}" for n in range(1000)])
    assert len(many.grants.subscribe.patterns) == MAX_VALUES
    squared = Roles("groups", {"member": Role({"subscribe": ["a:{x}:{y}", "b:{x}:{y}:{x}"]})})
    values = [f"v{n}" for n in range(40)]
    found = read(squared, groups=["member"], x=values, y=values)
    assert len(found.grants.subscribe.patterns) <= MAX_PATTERNS


@pytest.mark.parametrize(
    ("path", "claims", "names"),
    [
        ("scope", {"scope": "openid operator"}, ("openid", "operator")),
        ("a.b", {"a": {"b": ["x"]}}, ("x",)),
        ("a.b", {"a.b": ["y"], "a": {"b": ["x"]}}, ("y",)),
        ("a.b", {"a": ["b"]}, ()),
        ("a.b", {"a": {"b": {"c": 1}}}, ()),
        ("roles", {"roles": ["x", 5, None, ["y"], "x"]}, ("x",)),
        ("roles", {}, ()),
    ],
)
def test_where_roles_are_found(path: str, claims: dict[str, Any], names: tuple[str, ...]) -> None:
    assert Roles(path, {}).names(claims) == names


def test_service_and_admin_come_from_roles_only() -> None:
    table = {"backend": Role({"publish": ["job:*"]}, service=True), "op": Role(admin=Level.READ)}
    roles = Roles("roles", table, hub=True)
    hub = {"subscribe": ["doc:7"], "service": True, "admin": "write", "info": {"name": "Ann"}}
    plain = read(roles, hub=hub)
    assert plain.may_subscribe("doc:7")
    assert plain.info == b'{"name":"Ann"}'
    assert (plain.service, plain.control, plain.admin) == (False, Level.NONE, Level.NONE)
    backend = read(roles, roles=["backend"], hub=hub)
    assert (backend.service, backend.control, backend.admin) == (True, Level.WRITE, Level.NONE)
    assert not backend.may_publish("doc:7")
    op = read(roles, roles=["op"])
    assert (op.service, op.control, op.admin) == (False, Level.READ, Level.READ)


def test_channels_that_a_role_subscribes_must_be_channels() -> None:
    roles = Roles("roles", {"m": Role({"channels": ["tenant:{org}", "bad"]})})
    assert read(roles, roles=["m"], org="acme").channels == ("tenant:acme",)


def test_who_the_user_is() -> None:
    roles = Roles(None, {}, user="profile.name")
    assert read(roles, profile={"name": "Ann"}).user == "Ann"
    with pytest.raises(HubError, match=r"claim profile\.name is missing"):
        read(roles)


def test_a_channel_token_of_a_provider_counts_only_where_its_hub_claim_does() -> None:
    claims = {"sub": "ann", "exp": NOW + 60, "channel": "doc:7"}
    assert isinstance(Roles(None, {}, hub=True).read(claims, NOW, 10.0), ChannelRight)
    assert isinstance(Roles(None, {}).read(claims, NOW, 10.0), Identity)


def test_problems_in_words() -> None:
    table = {"a": Role({"subscribe": ["job:{org"]}), "b": Role({"subscribe": ["job:{org}"]})}
    assert Roles(None, table).problems() == [
        "there are roles, but no claim to find them in (HUB_CLAIM_ROLES)",
        "the role a: 'job:{org' has a brace without its other half",
    ]
