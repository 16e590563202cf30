"""Measures decisions against the baseline: comparisons, adversarial scenarios and their sweep, the evaluation cases,
and the reports a person reads.

Here: running cases both ways and counting. Not here: judging a rollout by it (`gates`), or where cases come from
(`sources`).
"""
