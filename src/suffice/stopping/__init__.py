"""When to stop drawing: stopping plans, the methods that make them, and the run that executes one.

Here: the plan (an immutable table), the one translator from a rule, N and a budget to it (`make`), one file per method,
the operating characteristics of any plan, the ask/tell run. Not here: what is decided (`decision`) and where draws come
from (`sampling`).
"""
