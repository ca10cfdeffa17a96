"""What a server must be like: old ones are refused, forgetful ones are warned of."""

import asyncio

import pytest

from hub.broker.redis.client.command_connection import WrongServer

from .conftest import MakeNode
from .servers import RedisServer


async def test_a_server_that_evicts_is_warned_of(
    server: RedisServer, make_node: MakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    await server.command("CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "allkeys-lru")
    node = await make_node(server.url)
    assert node.count("evicting") == 1
    assert "allkeys-lru throws events away" in caplog.text


async def test_a_server_that_is_too_old_is_refused(make_node: MakeNode) -> None:
    """As one of Redis 6.0 answers: it knows HELLO, and says its version."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        old = b"redis_version:6.0.16\r\nrun_id:1\r\nrole:master\r\n"
        try:
            while line := await reader.readline():
                command: list[bytes] = []
                for _ in range(int(line[1:])):
                    size = int((await reader.readline())[1:])
                    command.append((await reader.readexactly(size + 2))[:-2])
                if command[0] == b"INFO":
                    writer.write(b"$%d\r\n%s\r\n" % (len(old), old))
                elif command[0] == b"TIME":
                    writer.write(b"*2\r\n$1\r\n1\r\n$1\r\n0\r\n")
                else:
                    writer.write(b"+OK\r\n")
        except ConnectionError:
            pass
        finally:
            writer.close()

    old = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        with pytest.raises(WrongServer, match=r"runs Redis 6\.0\.16: the hub needs 6\.2 or newer"):
            await make_node(f"redis://127.0.0.1:{old.sockets[0].getsockname()[1]}")
    finally:
        old.close()
