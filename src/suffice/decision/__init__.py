"""What the fixed-sample decision is: one file per rule, from N draws to ACCEPTED, REJECTED or INVALID.

Here: rules, and the tallies that hold what a rule needs to know of the draws seen so far.
Not here: when to stop drawing (`stopping`).
"""
