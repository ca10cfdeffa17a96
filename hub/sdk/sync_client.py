"""The client for code without an event loop: scripts, threads, management commands."""

from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any, TypeVar

from hub.protocol.errors import HubError
from hub.protocol.position import Position

from .buffer import Ended
from .client import Client
from .items import History, Item, Published, Status
from .loop_thread import LoopThread
from .subscription import Subscription
from .tokens import Token

T = TypeVar("T")


class SyncClient:
    """A `Client` that runs in a thread of its own; takes the same arguments, and its methods block.

    ```python
    with SyncClient("http://hub:8000", token=make_token) as hub:
        for event in hub.subscribe("job:42"):
            print(event.type, event.payload)
    ```

    Methods may be called from any thread; callbacks are called in the client's own, and may not call them. Where a
    process forks, each child makes one for itself.
    """

    def __init__(self, url: str, token: Token | None = None, **options: Any) -> None:
        self._client = Client(url, token, **options)
        self._thread: LoopThread | None = None

    def start(self) -> None:
        """Connect, and wait for the hub's welcome. Raises: as `Client.start`."""
        if self._thread is not None:
            raise RuntimeError("a client is started once")
        self._thread = LoopThread("hub-client")
        try:
            self.wait_for(self._client.start())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Leave, and end the thread. Iterations end; a second call changes nothing."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.submit(self._client.close()).result()
            thread.stop()

    def __enter__(self) -> "SyncClient":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def status(self) -> Status:
        """The connection's state, and why."""
        return self._client.status

    def subscribe(self, channel: str, **options: Any) -> "SyncSubscription":
        """A subscription, to be entered with ``with`` or iterated; `options` as of `Client.subscribe`."""

        async def made() -> Subscription:
            return self._client.subscribe(channel, **options)

        return SyncSubscription(self, self.wait_for(made()))

    def publish(self, channel: str, event: str, payload: Any, **options: Any) -> Published:
        """As `Client.publish`."""
        return self.wait_for(self._client.publish(channel, event, payload, **options))

    def batch(self, events: Sequence[dict[str, Any]], *, ordered: bool = False) -> list[Published | HubError]:
        """As `Client.batch`."""
        return self.wait_for(self._client.batch(events, ordered=ordered))

    def presence(self, channel: str, *, by_user: bool = False) -> list[dict[str, Any]]:
        """As `Client.presence`."""
        return self.wait_for(self._client.presence(channel, by_user=by_user))

    def history(self, channel: str, since: Position | str | None = None, limit: int = 100) -> History:
        """As `Client.history`."""
        return self.wait_for(self._client.history(channel, since, limit))

    def ping(self) -> int:
        """As `Client.ping`."""
        return self.wait_for(self._client.ping())

    def begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Have something done by the client's thread.

        Raises:
            RuntimeError: it does not run, or this thread or process may not wait for it.
        """
        if self._thread is None:
            work.close()
            raise RuntimeError("the client does not run: enter it with `with`, or start it")
        return self._thread.submit(work)

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """The same, and its result; who is interrupted leaves nothing behind that goes on."""
        future = self.begin(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise


class SyncSubscription:
    """`Subscription` for a plain thread, one at a time: iterate it, or ask for the next item with a deadline.

    An item that arrives while the caller was interrupted or gave up waiting is the next one: none is lost.
    """

    def __init__(self, client: SyncClient, inner: Subscription) -> None:
        self._client = client
        self._inner = inner
        self._entered = False
        self._coming: Future[Item] | None = None
        self._taken: Position | None = None

    @property
    def channel(self) -> str:
        """The channel's name."""
        return self._inner.channel

    @property
    def position(self) -> Position | None:
        """Behind the item taken last; as `since`, it continues from there."""
        coming = self._coming
        return self._taken if coming is not None and coming.done() else self._inner.position

    @property
    def live(self) -> bool:
        """Whether the hub sends this channel's events at this moment."""
        return self._inner.live

    @property
    def members(self) -> list[dict[str, Any]]:
        """Who is in the channel, where `presence` was asked for."""
        return self._inner.members

    @property
    def unread(self) -> int | None:
        """As `Subscription.unread`."""
        return self._inner.unread

    def start(self, timeout: float | None = 30.0) -> None:
        """As `Subscription.start`."""
        self._client.wait_for(self._inner.start(timeout))
        self._taken = self._inner.position

    def close(self) -> None:
        """As `Subscription.close`."""
        self._client.wait_for(self._inner.close())

    def get(self, timeout: float | None = None) -> Item:
        """The next item.

        Raises:
            TimeoutError: none came within `timeout` seconds. Ended: the subscription or the client was closed.
            HubError, Stopped: as in iteration.
        """
        if self._coming is None:
            self._coming = self._client.begin(self._inner.get())
        try:
            item = self._coming.result(timeout)
        except TimeoutError:
            if not self._coming.done():
                raise TimeoutError(f"no item within {timeout:g} s") from None
            self._coming = None
            raise
        except Exception:
            self._coming = None
            raise
        self._coming = None
        self._taken = item.position or self._taken
        return item

    def publish(self, event: str, payload: Any, **options: Any) -> Published:
        """`Client.publish` to this channel."""
        return self._client.wait_for(self._inner.publish(event, payload, **options))

    def set_presence(self, state: Any) -> None:
        """As `Subscription.set_presence`."""
        self._client.wait_for(self._inner.set_presence(state))

    def ack(self, position: Position | None = None) -> int | None:
        """As `Subscription.ack`; by default to the item taken last."""
        return self._client.wait_for(self._inner.ack(position or self.position))

    def __enter__(self) -> "SyncSubscription":
        self.start()
        self._entered = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Item]:
        if not self._entered:
            self.start()
        try:
            while True:
                try:
                    item = self.get()
                except Ended:
                    return
                yield item
        finally:
            if not self._entered and self._client.status.state != "stopped":
                self.close()
