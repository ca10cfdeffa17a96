"""One right, given and taken by a service, on whichever node the user is."""

from typing import Any

from .pair import Pair, fresh, http, publish


async def post(pair: Pair, path: str, credentials: str | None = None, **body: Any) -> Any:
    async with http(pair.b, credentials) as client:
        answer = await client.post(path, json=body)
        return {"status": answer.status_code, **answer.json()}


async def test_a_user_is_subscribed_by_a_service_and_not_any_more(pair: Pair) -> None:
    job, user = fresh("job"), fresh("user")
    before = await publish(pair.a, job, key="1")
    async with (
        pair.connect(pair.a, user, subscribe=[]) as one,
        pair.connect(pair.b, user, subscribe=[]) as two,
        pair.connect(pair.a, "other", subscribe=[]) as other,
    ):
        since = f"{before['epoch']}:0"
        reached = await post(pair, "/v1/subscribe", user=user, channel=job, since=since)
        assert reached == {"status": 200, "connections": 2, "complete": True}
        for wire in (one, two):
            subscribed = await wire.expect("hub.subscribed")
            assert (subscribed["channel"], subscribed["recovered"]) == (job, True)
            assert "id" not in subscribed
            assert (await wire.expect("tick"))["offset"] == 1
        await one.send("authenticate", id=9, token=pair.token(user, subscribe=[]))
        assert (await one.reply(9))["type"] == "hub.authenticated"  # and the right stays
        await publish(pair.b, job)
        for wire in (one, two):
            assert (await wire.expect("tick"))["offset"] == 2
        # Given again it changes nothing.
        await post(pair, "/v1/subscribe", user=user, channel=job)
        reached = await post(pair, "/v1/unsubscribe", user=user, channel=job)
        assert reached == {"status": 200, "connections": 2, "complete": True}
        for wire in (one, two):
            assert await wire.expect("hub.unsubscribed") == {
                "type": "hub.unsubscribed",
                "channel": job,
                "code": "revoked",
                "reason": "a service has ended this subscription",
            }
            assert (await wire.ask("subscribe", channel=job))["code"] == "forbidden"
        await other.quiet(0.05)


async def test_one_connection_of_a_user(pair: Pair) -> None:
    job, user = fresh("job"), fresh("user")
    async with (
        pair.connect(pair.a, user, subscribe=[]) as one,
        pair.connect(pair.a, user, subscribe=[]) as two,
    ):
        reached = await post(pair, "/v1/subscribe", connection=one.id, channel=job)
        assert reached["connections"] == 1
        await one.expect("hub.subscribed")
        await two.quiet(0.05)
        assert (await post(pair, "/v1/subscribe", connection="c_nobody", channel=job))["connections"] == 0


async def test_who_may_not_give_it(pair: Pair) -> None:
    job = fresh("job")
    user = pair.token("ann")
    bound = pair.token("svc", service=True, subscribe=["doc:*"])
    for credentials, channel, code in (
        (user, job, "forbidden"),
        (bound, job, "forbidden"),
        (None, "hub:nodes", "forbidden"),
        (None, "job", "bad_channel"),
        (None, "nope:1", "unknown_namespace"),
        (None, 5, "bad_message"),
    ):
        answer = await post(pair, "/v1/subscribe", credentials, user="ann", channel=channel)
        assert answer["code"] == code, (channel, answer)
    for body in ({}, {"user": "a", "connection": "b"}, {"user": 5}, {"user": "a", "since": 5}):
        answer = await post(pair, "/v1/subscribe", channel=job, **body)
        assert answer["code"] == "bad_message"
    assert (await post(pair, "/v1/subscribe", user="a", channel=job, since="x"))["code"] == "bad_message"
