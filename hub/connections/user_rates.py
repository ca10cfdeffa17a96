"""How often a user may ask, over all connections of theirs on this node and over HTTP: a limit of one connection is
none for who opens two hundred."""

from collections import OrderedDict

from ..runtime.bucket import TokenBucket

MAX_BUCKETS = 65_536


class UserRates:
    """The buckets of the users that asked lately, by what they asked for."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[tuple[str, str], TokenBucket] = OrderedDict()

    def take(self, user: str, what: str, rate: float, burst: float, now: float, count: float = 1.0) -> float:
        """Take `count` of the user's bucket for `what`; 0.0, or the seconds until they will be there."""
        return self.bucket(user, what, rate, burst, now).take(now, count)

    def bucket(self, user: str, what: str, rate: float, burst: float, now: float) -> TokenBucket:
        """The user's bucket for `what`."""
        bucket = self._buckets.get((user, what))
        if bucket is None:
            bucket = self._buckets[user, what] = TokenBucket(rate, burst, now)
            if len(self._buckets) > MAX_BUCKETS:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end((user, what))
        return bucket
