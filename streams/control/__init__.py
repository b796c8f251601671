"""Commands: what may be asked of a running pipeline, and with which arguments.

The operator `control` accepts or refuses them; the tasks whose operators a command names apply it.
"""
