"""Cases decided both ways on the same draws, and counted: one case or millions, here, in worker processes or on a
cluster.

Here: running, counting, intervals, the rows that are written, and what a comparison answers (`view`). Not here:
deciding a case (`verifier`), judging a rollout by what was counted (`gates`), or its page and plots (`reports`).
"""
