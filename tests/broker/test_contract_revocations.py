"""What nodes remember of revocations together: signed, and whatever else stands there takes nothing with it."""

import orjson
import pytest

from hub.auth.signing import Signer
from hub.broker.base import Broker, Registry
from hub.cluster.revocation_ledger import RevocationLedger
from hub.runtime.counters import Counters

FAR = 4e9
SIGNER = Signer("secret", "revocation")


@pytest.fixture
def registry(broker: Broker) -> Registry:
    return broker.registry


def ledger(registry: Registry, secret: str = "secret") -> tuple[RevocationLedger, Counters]:
    counters = Counters()
    return RevocationLedger(registry, Signer(secret, "revocation"), counters), counters


async def test_a_node_that_starts_later_knows_it(registry: Registry) -> None:
    await ledger(registry)[0].put("sub@1.0:ann", FAR)
    assert await ledger(registry)[0].read() == [("sub@1.0:ann", FAR)]
    assert await registry.revocations() == {"sub@1.0:ann": FAR}, "nodes of 0.1 read it there"


async def test_who_writes_into_the_storage_revokes_nobody(registry: Registry) -> None:
    """Unsigned, signed with another secret, or a command of the nodes in another's place."""
    node, counters = ledger(registry)
    await node.put("jti:t1", FAR)
    await registry.revoke("sub@1.0:ann", FAR)
    await ledger(registry, "another")[0].put("sub@1.0:bob", FAR)
    await registry.keep_revocation(Signer("secret", "node").sign(orjson.dumps(["sub:eve", FAR])), FAR)
    assert await node.read() == [("jti:t1", FAR)]
    assert await ledger(registry)[0].read() == [("jti:t1", FAR)]
    assert counters.errors["foreign_revocation"] == 2


async def test_what_is_no_revocation_hides_no_other(registry: Registry) -> None:
    node, counters = ledger(registry)
    for body in (b"{}", b"[1]", b"[1,2]", b'["nonsense",4e9]', b'["sub:ann","x"]', b"no JSON"):
        await registry.keep_revocation(SIGNER.sign(body), FAR)
    await registry.keep_revocation("not even signed", FAR)
    await node.put("sub@1.0:ann", FAR)
    assert await node.read() == [("sub@1.0:ann", FAR)]
    assert counters.errors["foreign_revocation"] == 7


async def test_what_nodes_of_0_1_have_left_is_taken_over_once(registry: Registry) -> None:
    await registry.revoke("sub@1.0:ann", FAR)
    await registry.revoke("nonsense", FAR)
    assert await ledger(registry)[0].read() == [("sub@1.0:ann", FAR)]
    await registry.revoke("sub@1.0:bob", FAR)
    assert await ledger(registry)[0].read() == [("sub@1.0:ann", FAR)], "it stands signed by now"
