"""How a command ends that cannot do its work."""


class Failure(Exception):
    """Lines for the person who typed the command: what is wrong, and what to do. No secret is in them."""

    def __init__(self, *lines: str, status: int = 1) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines
        self.status = status
