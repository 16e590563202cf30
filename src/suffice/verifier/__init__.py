"""Decides a case: takes draws from its stream and feeds them to a run until the run closes.

Here: cases, the loop that decides one, and the compiled kernels that decide many at once (`batch`, `kernels`); pure,
without clock, file, database or log.
Not here: plans and runs (`stopping`), and what production adds around a decision (`serving`).
"""
