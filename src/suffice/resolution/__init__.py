"""Resolving: a record that a measurement disagrees with is classified, changed and validated, then committed or kept.

Here: kinds, strategies, the rollback-storm policy (all pure), and `resolve`, which applies them to a store.
Not here: how a verdict is made (`serving`, `verifier`), where corrections come from (`sources`), the tables (`store`).
"""
