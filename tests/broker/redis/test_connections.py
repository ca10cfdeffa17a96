"""The ways to a server: TLS, a Unix socket, another event loop."""

import datetime
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hub.broker.redis.client.connection import LinkError, open_link

from ..harness import publish
from .conftest import MakeNode
from .servers import RedisServer, free_port


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for localhost, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert_file, key_file


async def test_tls(tmp_path: Path, make_node: MakeNode) -> None:
    cert, key = certificate(tmp_path)
    port = free_port()
    async with RedisServer(
        tmp_path / "redis",
        f"tls-port {port}",
        f"tls-cert-file {cert}",
        f"tls-key-file {key}",
        f"tls-ca-cert-file {cert}",
        "tls-auth-clients no",
    ):
        node = await make_node(f"rediss://localhost:{port}?ssl_ca_certs={cert}")
        await node.broker.listen("log:s")
        await publish(node.broker, "log:s")
        await node.heard.heard("log:s", 1)
        stranger = await make_node(f"rediss://localhost:{port}")
        assert not stranger.broker.health()[0].usable
        careless = await make_node(f"rediss://localhost:{port}?ssl_cert_reqs=none", node_id="n_2")
        assert careless.broker.health()[0].usable


async def test_a_unix_socket(tmp_path: Path, make_node: MakeNode) -> None:
    path = tmp_path / "redis.sock"
    async with RedisServer(tmp_path / "redis", f"unixsocket {path}") as server:
        node = await make_node(f"unix://{path}?db=2")
        await node.broker.listen("log:s")
        await publish(node.broker, "log:s")
        await node.heard.heard("log:s", 1)
        assert b"db2" in await server.command("INFO", "keyspace")


async def test_what_is_no_redis(server: RedisServer) -> None:
    """Bytes that are no RESP end the link, and say so."""
    import asyncio

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    other = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = other.sockets[0].getsockname()[1]
    with pytest.raises(LinkError):
        await open_link(server.address.at("127.0.0.1", port), client="test", patience=2.0)
    other.close()
    await other.wait_closed()


def test_under_uvloop(tmp_path: Path) -> None:
    """Its transports are of another kind than asyncio's."""
    program = """
        import asyncio, sys, uvloop
        from pathlib import Path
        sys.path.insert(0, sys.argv[1])
        from tests.broker.harness import Recorder, namespaces, publish
        from tests.broker.redis.servers import RedisServer
        from hub.broker.redis.broker import RedisBroker

        async def main():
            assert type(asyncio.get_running_loop()).__module__.startswith("uvloop")
            server = RedisServer(Path(sys.argv[2]))
            await server.start()
            broker, heard = RedisBroker(server.url, namespaces(60.0), node_id="n_1"), Recorder()
            await broker.start(heard)
            await broker.listen("log:s")
            await publish(broker, "log:s")
            await heard.heard("log:s", 1)
            await server.kill()
            await server.start()
            await heard.until(lambda: "log:s" in heard.lost)
            await broker.close()
            await server.stop()
            print("heard")

        uvloop.run(main())
    """
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program), str(root), str(tmp_path / "redis")],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=root,
    )
    assert done.stdout == "heard\n", done.stderr
