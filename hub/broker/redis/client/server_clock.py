"""A server's clock beside this process's own: how far it is ahead, and when it was stepped.

Deadlines in Redis (a node's sign of life, a lease) go by the server's wall clock, which an operator, NTP or a
failover may set forward. Every connection notices, because no command of it is carried out before it has looked
again (`late`); what was written before the step then gets the time that only the clock has passed.
"""

KEPT = 64  # steps that are remembered, of at most an hour and a bit
KEPT_MS = 4_000_000


class ServerClock:
    """`ahead_ms` is the server's clock (Unix ms) less ours (monotonic seconds, handed in).

    `doubt_ms`: a difference up to this may be a slow reply; beyond, the clock was stepped.
    """

    def __init__(self, doubt_ms: float) -> None:
        self.ahead_ms = 0.0
        self._doubt_ms = doubt_ms
        self._known = False
        self._steps: list[tuple[float, float]] = []  # server's time before a step forward, and after it

    def learn(self, server_ms: float, now: float) -> float:
        """The server said its time; by how many ms it was stepped since the last look (0: it was not)."""
        expected = now * 1000 + self.ahead_ms
        self.ahead_ms = server_ms - now * 1000
        stepped = server_ms - expected
        if not self._known or abs(stepped) <= self._doubt_ms:
            self._known = True
            return 0.0
        if stepped > 0:
            self._steps = [step for step in self._steps if step[1] > server_ms - KEPT_MS][1 - KEPT :]
            self._steps.append((expected, server_ms))
        return stepped

    def skipped_ms(self, since_ms: float) -> int:
        """Of the time that has passed on the server since `since_ms`, by its clock: what did not really pass."""
        return int(sum(after - before for before, after in self._steps if before >= since_ms))

    def skipped_lately_ms(self, seconds: float, now: float) -> int:
        """By how many ms it was set forward in the last `seconds`."""
        since = self.now_ms(now - seconds)
        return int(sum(after - before for before, after in self._steps if after >= since))

    def now_ms(self, now: float) -> float:
        """The server's time, about."""
        return now * 1000 + self.ahead_ms
