"""Evidence of a rollback: the bundle that is frozen, its manifest, a disagreeing decision decided again, and the items.

Not here: why a rollback happened (rollout/), the rows of items (store/), what a fault does to draws (rehearsal/).
"""
