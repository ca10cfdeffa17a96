"""What others chose (names, addresses, origins), made fit for a line of a log or a terminal."""

LONGEST = 120


def shown(value: str, most: int = LONGEST) -> str:
    """Without line ends, escapes or anything else that does not print, and no longer than a line bears."""
    text = value if value.isprintable() else "".join(c if c.isprintable() else "?" for c in value)
    return text if len(text) <= most else f"{text[: most - 1]}…"
