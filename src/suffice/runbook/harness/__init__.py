"""The evaluation harness: named cases that an operator runs before and after every change.

Here: the cases, one short function each, the workload that they share, and what is written about them. Not here: what
a command prints (`cli`), or judging a rollout (`gates`).
"""
