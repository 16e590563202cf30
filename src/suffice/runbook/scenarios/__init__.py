"""The adversarial scenarios: inputs that would expose a decision path that is wrong, each with what must then hold.

Here: one file a family, the catalogue of them, and the two worlds (fixed and adaptive) that each is run in. Not here:
which cells are run and where their reports go (`sweep`).
"""
