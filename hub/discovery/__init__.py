"""How others find a node: a registration in Consul. Nodes find each other through the broker, not by this.

May import: settings, runtime and protocol; httpx. Nothing of it is imported where no setting asks for it.
"""
