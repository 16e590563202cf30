"""The acceptance checks of a rollout: each turns evidence into an outcome with a sentence that holds both numbers.

Here: judgements; unknown is Error, never success. Not here: counting evidence (`evidence`) or acting on an answer
(`rollout`).
"""
