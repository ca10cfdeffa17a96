"""Who is connected to this node, by id and by user."""

from collections.abc import Collection

from .connection import Connection


class ConnectionTable:
    """The admitted connections."""

    def __init__(self) -> None:
        self._by_id: dict[str, Connection] = {}
        self._by_user: dict[str, set[Connection] | Connection] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def add(self, user: str, connection: Connection) -> None:
        """A connection said who it is."""
        self._by_id[connection.id] = connection
        known = self._by_user.get(user)
        if known is None:
            self._by_user[user] = connection  # most users have one connection: no set is made for it
        elif isinstance(known, set):
            known.add(connection)
        else:
            self._by_user[user] = {known, connection}

    def remove(self, user: str, connection: Connection) -> None:
        """A connection is over."""
        self._by_id.pop(connection.id, None)
        known = self._by_user.get(user)
        if isinstance(known, set):
            known.discard(connection)
            if not known:
                del self._by_user[user]
        elif known is connection:
            del self._by_user[user]

    def get(self, connection: str) -> Connection | None:
        """The connection of that id."""
        return self._by_id.get(connection)

    def of_user(self, user: str) -> list[Connection]:
        """The user's connections."""
        known = self._by_user.get(user)
        if known is None:
            return []
        return list(known) if isinstance(known, set) else [known]

    def heavy(self, least: int) -> dict[str, int]:
        """The users with at least `least` connections, two or more, and how many they have."""
        return {
            user: len(known)
            for user, known in self._by_user.items()
            if isinstance(known, set) and len(known) >= least
        }

    def all(self) -> Collection[Connection]:
        """Every admitted connection."""
        return self._by_id.values()
