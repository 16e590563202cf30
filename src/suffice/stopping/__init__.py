"""When to stop drawing: stopping plans, the methods that make them, and the run that executes one.

Here: the plan (an immutable table), one file per method, the exact operating characteristics of any plan, the ask/tell
run. Not here: what is decided (`decision`) and where draws come from (`sampling`).
"""
