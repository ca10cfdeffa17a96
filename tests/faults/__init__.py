"""The fault suite: two nodes over Redis, clients on both, a flow of events, and one fault at a time."""
