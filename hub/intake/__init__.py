"""What others push to the hub: webhooks, CloudEvents, Dapr. Routes of a node, where its settings name them.

May import: `http` and what is below it; of `bridge` what makes publications of messages. Only `app` imports it.
"""
