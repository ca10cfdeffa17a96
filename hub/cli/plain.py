"""Text that came from elsewhere, made fit for a terminal."""


def plain(text: str) -> str:
    """`text` with every character that a terminal would act upon, or not show, written as an escape: a user's name
    or an error may hold sequences that move the cursor, rename the window or answer in the operator's stead."""
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
