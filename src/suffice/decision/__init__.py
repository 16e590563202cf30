"""What the fixed-sample decision is: one file per rule, from N draws to ACCEPTED, REJECTED or INVALID.

Here: the two kinds of rules (`counts`, `means`), and the tallies that hold what a rule needs to know of the draws seen
so far. NumPy and SciPy are imported when asked for, so that counts are decided on the standard library alone.
Not here: when to stop drawing (`stopping`).
"""
