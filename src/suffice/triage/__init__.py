"""Evidence of a rollback: the bundle that is frozen, its manifest, and a disagreeing decision decided again.

Not here: why a rollback happened (rollout/), triage items (store/), what a fault does to draws (rehearsal/).
"""
