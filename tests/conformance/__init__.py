"""The hub's side of hub.v1, played from scenarios (docs/conformance) against any client."""
