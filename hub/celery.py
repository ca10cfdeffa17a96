"""Tasks of Celery as jobs of the hub: ``pip install 'notification-hub[celery]'``.

```python
app = Celery("shop", broker="redis://")
tasks = HubTasks(app, "http://hub:8000", api_key=KEY)
```
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from celery import Celery, current_task, signals

from .sdk.sync import SyncPublisher

log = logging.getLogger("hub.celery")
EVENT = "job_status"
Channel = str | Callable[[str, str], str | None]


@dataclass
class _Run:
    """One attempt of a task in this process: what was said last, and under which version."""

    channel: str
    attempt: int
    fields: dict[str, Any]
    began: float = field(default_factory=time.monotonic)
    number: int = 0

    def next_version(self) -> list[int]:
        """Rising, and above what an attempt said that was begun elsewhere and cut off: by the clock, in ms."""
        self.number = max(self.number + 1, time.time_ns() // 1_000_000)
        return [self.attempt, self.number]


class HubTasks:
    """Publishes what becomes of the tasks of `app`: an event ``job_status`` a change, whose key is the task's id.

    Its payload: `job` and `name` (the task's id and name), `state` (``queued``, ``running``, ``retrying``,
    ``succeeded``, ``failed``, ``cancelled``), `attempt` from 1, and where they are known `worker`, `progress`
    (0 to 100), `note`, `seconds` (how long it ran) and `error` (the exception's type, or what `describe` makes of
    it). Arguments and results are not shown.

    `channel` is one of mode ``state``, or a function of (task name, task id) that names one, or None for tasks that
    are nobody's business. While a task runs its event has a lease, renewed three times in `lease` seconds, so that
    the hub itself says ``lease_expired`` of a worker that was killed; None: no lease. `url` and `api_key` are
    HUB_URL and HUB_API_KEY where they are not given. No task waits for the hub or fails with it: events are queued,
    and what could not be published is logged.

    Raises:
        ValueError: there is no url or no key.
    """

    def __init__(
        self,
        app: Celery,
        url: str | None = None,
        *,
        api_key: str | None = None,
        channel: Channel = "job:tasks",
        lease: float | None = 30.0,
        describe: Callable[[BaseException], str] = lambda error: type(error).__name__,
        publisher: SyncPublisher | None = None,
    ) -> None:
        if publisher is None:
            url, api_key = url or os.environ.get("HUB_URL"), api_key or os.environ.get("HUB_API_KEY")
            if not url or not api_key:
                raise ValueError("where is the hub? give url and api_key, or set HUB_URL and HUB_API_KEY")
            publisher = SyncPublisher(url, api_key=api_key)
        self._app = app
        self._publisher = publisher
        self._channel = channel
        self._lease = lease
        self._describe = describe
        self._runs: dict[str, _Run] = {}
        self._lock = threading.Lock()
        self._heart: threading.Thread | None = None
        for signal, handler in (
            (signals.before_task_publish, self._queued),
            (signals.task_prerun, self._started),
            (signals.task_success, self._succeeded),
            (signals.task_failure, self._failed),
            (signals.task_retry, self._retried),
            (signals.task_revoked, self._revoked),
        ):
            signal.connect(handler, weak=False)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def progress(self, percent: float, note: str = "", **more: Any) -> None:
        """Of the task that calls it: how far it is, 0 to 100, and what it is doing; `more` is shown beside."""
        request = current_task.request if current_task else None
        run = self._runs.get(request.id) if request is not None else None
        if request is None or run is None:
            log.warning("progress is told from inside a task")
            return
        with self._lock:
            run.fields |= {"progress": percent, **({"note": note} if note else {}), **more}
        self._say(request.id, run)

    def flush(self, timeout: float | None = None) -> bool:
        """As `SyncPublisher.flush`."""
        return self._publisher.flush(timeout)

    # What Celery tells

    def _queued(self, sender: object = None, headers: Any = None, **_: Any) -> None:
        """In whatever process: the version [attempt, 0] is below all that a worker says."""
        headers = headers or {}
        name, id, retries = headers.get("task") or str(sender), headers.get("id"), headers.get("retries") or 0
        channel = self._channel_of(name, id) if id else None
        if channel is not None:
            state = "retrying" if retries else "queued"
            fields = {"job": id, "name": name, "state": state, "attempt": retries + 1}
            self._publisher.publish_nowait(channel, EVENT, fields, key=id, version=[retries + 1, 0])

    def _started(self, sender: Any = None, task_id: str = "", task: Any = None, **_: Any) -> None:
        run = self._begun(task or sender, task_id, "running")
        if run is not None:
            run.fields["progress"] = 0
            self._runs[task_id] = run
            self._say(task_id, run)
            self._beat()

    def _succeeded(self, sender: Any = None, **_: Any) -> None:
        self._ended(sender, sender.request.id, state="succeeded", progress=100)

    def _failed(self, sender: Any = None, task_id: str = "", exception: Any = None, **_: Any) -> None:
        self._ended(sender, task_id, state="failed", error=self._describe(exception))

    def _retried(self, sender: Any = None, request: Any = None, **_: Any) -> None:
        """The next attempt was queued before this is told."""
        self._runs.pop(request.id, None)

    def _revoked(self, sender: Any = None, request: Any = None, **_: Any) -> None:
        self._ended(sender, request.id, state="cancelled")

    # What is said of it

    def _channel_of(self, name: str, id: str) -> str | None:
        return self._channel(name, id) if callable(self._channel) else self._channel

    def _begun(self, task: Any, id: str, state: str) -> _Run | None:
        if task is None or task.app is not self._app:
            return None
        channel = self._channel_of(task.name, id)
        if channel is None:
            return None
        attempt = (getattr(task.request, "retries", 0) or 0) + 1
        fields = {"job": id, "name": task.name, "state": state, "attempt": attempt}
        if host := getattr(task.request, "hostname", None):
            fields["worker"] = host
        return _Run(channel, attempt, fields)

    def _ended(self, task: Any, id: str, **fields: Any) -> None:
        known = self._runs.pop(id, None)
        run = known or self._begun(task, id, "")
        if run is None:
            return
        with self._lock:
            if known is not None:
                run.fields["seconds"] = round(time.monotonic() - known.began, 3)
            run.fields |= fields
        self._say(id, run, final=True)

    def _say(self, id: str, run: _Run, *, final: bool = False) -> None:
        with self._lock:
            if not final and self._runs.get(id) is not run:
                return  # it ended meanwhile
            lease = None if final or self._lease is None else int(self._lease * 1000)
            self._publisher.publish_nowait(
                run.channel,
                EVENT,
                dict(run.fields),
                key=id,
                version=run.next_version(),
                final=final,
                lease_ms=lease,
            )

    # Leases

    def _beat(self) -> None:
        if self._lease is not None and (self._heart is None or not self._heart.is_alive()):
            self._heart = threading.Thread(
                target=self._beats, args=(self._lease / 3,), name="hub-leases", daemon=True
            )
            self._heart.start()

    def _beats(self, pause: float) -> None:
        while True:
            time.sleep(pause)
            for id, run in list(self._runs.items()):
                self._say(id, run)

    def _forget(self) -> None:
        """In a forked child: no task of this process runs yet, and the thread stayed behind."""
        self._runs, self._lock, self._heart = {}, threading.Lock(), None
