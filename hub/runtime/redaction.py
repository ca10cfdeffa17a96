"""Log lines without tokens, tickets and keys."""

import logging
import re

_SECRETS = re.compile(
    r"""((?:[?&\s"']|^)(?:token|ticket|resume|cf_connect)=)[^&\s"']+   # a query
    |(hub\.token\.)[A-Za-z0-9_.-]+                          # a subprotocol entry
    |(\bBearer\s+)\S+                                       # a header
    |\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]* # a JWT, wherever it stands
    """,
    re.VERBOSE | re.IGNORECASE,
)


def redacted(text: str) -> str:
    """`text` without what looks like a token, a ticket or a key."""
    return _SECRETS.sub(lambda found: f"{found[1] or found[2] or found[3] or ''}[redacted]", text)


class Redacted(logging.Filter):
    """For the loggers of a server that the hub does not set up: it writes each request with its query."""

    def filter(self, record: logging.LogRecord) -> bool:
        """As `logging.Filter`."""
        if isinstance(record.args, tuple):
            record.args = tuple(redacted(each) if isinstance(each, str) else each for each in record.args)
        return True


_REDACTED = Redacted()


def redact_loggers(*names: str) -> None:
    """Lines of these loggers hold no secret from now on; a second call changes nothing."""
    for name in names:
        logging.getLogger(name).addFilter(_REDACTED)
