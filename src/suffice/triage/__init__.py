"""Evidence of a rollback: what is frozen of it, and what a person does with it.

Here: the bundle, its manifest, the cause, the region, a disagreeing decision decided again, what went out wrong, the
items. Not here: when a rollback happens (`rollout`), the rows of items (`store`), what a fault does to draws
(`rehearsal`).
"""
