"""Decides a case: takes draws from its stream and feeds them to a run until the run closes.

Here: cases, the loop that decides one, the compiled kernels that decide many at once (`batch`, `kernels`), and which
of the two many cases take (`many`). It is pure, without clock, database or log; its only files are compiled code
(`kernel_cache`). Not here: plans and runs (`stopping`), and what production adds around a decision (`serving`).
"""
