"""The verifier that production calls: which arm a decision takes, audits, the ledger, counters, and the fall back to
fixed.

Here: everything around a decision that touches the world. Not here: how a case is decided (`verifier`), what the flag
says (`flag`), how rows are stored (`store`).
"""
