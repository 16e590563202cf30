"""Evidence of a rollback: what is frozen of it, and what a person does with it.

Here: the bundle, its manifest, the cause, a disagreeing decision decided again, and the items. Not here: why a rollback
happened (`rollout`), the rows of items (`store`), what a fault does to draws (`rehearsal`).
"""
