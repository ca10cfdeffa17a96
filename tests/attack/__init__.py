"""Floods against a real hub, each with what another client notices: `make attack`."""
