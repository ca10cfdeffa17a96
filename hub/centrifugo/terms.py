"""What a hub's settings say of Centrifugo's clients: how they name channels, and whose tokens they bring."""

from ..auth.from_settings import make_authenticator
from ..auth.keys import Keys
from ..commands.host import Executes
from ..settings import Settings
from .dialect import CentrifugoDialect, Form
from .names import CentrifugoNames, HubNames
from .tokens import CentrifugoClaims, reading


class Terms:
    """How the clients name channels, and who does what they ask for, and reads their tokens."""

    def __init__(self, names: HubNames, executes: Executes) -> None:
        self.names = names
        self.executes = executes
        self._dialects: dict[Form, CentrifugoDialect] = {}

    def dialect(self, form: Form) -> CentrifugoDialect:
        """How these clients are written to: one for all, so that each event is written once for all of them."""
        dialect = self._dialects.get(form)
        if dialect is None:
            dialect = self._dialects[form] = CentrifugoDialect(form, self.names)
        return dialect


def make_terms(settings: Settings, node: Executes, keys: Keys) -> Terms:
    """The hub's own tokens and names, or Centrifugo's."""
    if not settings.centrifugo_tokens:
        return Terms(HubNames(), node)
    names = CentrifugoNames(settings.centrifugo_default_namespace)
    claims = CentrifugoClaims(
        names,
        settings.table,
        personal=settings.centrifugo_personal,
        anonymous=settings.centrifugo_anonymous,
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
    )
    # Nothing is remembered: what a token gives may outlive the token (`expire_at`), which must not be taken again.
    authenticator = make_authenticator(settings, keys, claims, remembered=0)
    nobody = claims.nobody if settings.centrifugo_anonymous else None
    return Terms(names, reading(node, authenticator, nobody))
