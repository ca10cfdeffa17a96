"""Base64url without padding (RFC 4648 section 5), as tokens and tickets are written."""

from binascii import a2b_base64

_ALPHABET = bytes.maketrans(b"-_", b"+/")  # of bytes: for a string Python looks each character up


def decode(text: str) -> bytes:
    """The bytes of `text`, whose characters the caller has checked: Python's decoder skips those that are none.

    Raises:
        binascii.Error: nothing has this length.
    """
    return a2b_base64(text.encode().translate(_ALPHABET) + b"==")
