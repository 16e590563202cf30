"""The acceptance checks of a rollout: each turns evidence into an outcome with a sentence that holds both numbers.

Here: pure judgements; unknown is Error, never success. Not here: collecting evidence (`store`, `rollout`) or acting on
it (`rollout`).
"""
