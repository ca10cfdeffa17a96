"""``[[proxies]]`` of the settings, checked."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ..outgoing.settings import Signed, checked
from ..outgoing.signing import keys_of
from ..settings import Settings


class ProxySettings(Signed):
    """A backend that is asked. `match` are patterns of channels, or of methods where `event` is ``call``.

    `secret` is one or several ``whsec_…``; `timeout` is seconds for one request; `fail` says what counts where the
    backend does not answer.
    """

    event: Literal["connect", "subscribe", "publish", "call"]
    url: Annotated[str, Field(pattern=r"^https?://[^\s#@]+$", max_length=2048)]
    match: list[str] = Field(default_factory=lambda: ["*"], min_length=1)
    timeout: Annotated[float, Field(ge=0.05, le=30)] = 1.0
    fail: Literal["closed", "open"] = "closed"

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        keys_of(self.secret)
        if not self.secret:
            raise ValueError("secret is missing: without it a backend can't tell who asks")
        if self.fail == "open" and self.event in ("connect", "call"):
            raise ValueError(f'fail = "open" lets through what nobody has decided: not for {self.event}')
        if self.event == "connect" and self.match != ["*"]:
            raise ValueError("match is of channels or methods, and a connect has none")
        return self


def read(settings: Settings) -> list[ProxySettings]:
    """The proxies of a node, checked.

    Raises:
        ValueError: a line for each that is wrong; no value is quoted.
    """
    found, wrong = checked(ProxySettings, "proxies", settings.proxies)
    if wrong:
        raise ValueError("\n".join(wrong))
    return found
