"""What the tables of ``[[proxies]]`` and ``[[webhooks]]`` have in common: secrets, and how they are checked."""

from collections.abc import Iterable
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from .signing import keys_of


class Signed(BaseModel):
    """A table whose requests are signed. `secret` is one or several ``whsec_…``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    secret: Annotated[list[SecretStr], Field(max_length=8)] = Field(default_factory=list)

    @field_validator("secret", mode="before")
    @classmethod
    def _several(cls, value: object) -> object:
        return [value] if isinstance(value, str | SecretStr) else value

    @property
    def keys(self) -> list[bytes]:
        """The secrets as bytes."""
        return keys_of(self.secret)


T = TypeVar("T", bound=Signed)


def checked(kind: type[T], name: str, tables: Iterable[object]) -> tuple[list[T], list[str]]:
    """The tables of the setting `name`, and a line for each thing that is wrong; no value is quoted."""
    found: list[T] = []
    wrong: list[str] = []
    for number, table in enumerate(tables):
        try:
            found.append(kind.model_validate(table))
        except ValidationError as error:
            for each in error.errors(include_input=False):
                path = ".".join(map(str, (f"{name}[{number}]", *each["loc"])))
                wrong.append(f"{path}: {each['msg'].removeprefix('Value error, ')}")
    return found, wrong
