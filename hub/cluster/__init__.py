"""What nodes and the workers of a port say to each other: commands, health, who lives.

May import: `connections`, `recovery`, `delivery`, `auth`, `broker.base`, `runtime`, `protocol`.
"""
