"""Which arm a target is on: buckets, the flag file that is exported, and its evaluation through OpenFeature.

Here: writing and reading the flag, asking it, bucketing, audit selection, what lowers a host, observing the baseline.
Not here: the word that permits (`store`, `serving`), when the weight changes (`rollout`), what an arm does (`serving`).
"""
