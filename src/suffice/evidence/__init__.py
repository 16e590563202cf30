"""What the ledger says: each decision counted once, some decided again by a fresh process.

Here: the one tally of rows, kept between readers; the counts of a stage; cases rebuilt and recomputed. Not here:
judging what was measured (`gates`), or acting on it (`rollout`).
"""
