"""The whole gateway on this machine: an embedded AWS, the real handlers as real processes, pretended providers.

`template.yaml` says what there is; nothing here knows a function, a queue or a route by name. Nothing that is deployed
imports this.
"""
