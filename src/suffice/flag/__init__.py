"""Which arm a target is on: the published flag file, its evaluation through OpenFeature, and what proves a rollback.

Here: writing and reading the flag, asking it, bucketing, audit selection, observing the baseline.
Not here: deciding when the weight changes (`rollout`), or what an arm does (`serving`).
"""
