"""What production calls: which arm a decision takes, audits, ledger rows and counters, and the fall back to fixed.

Here: everything around a decision that touches the world; `verifier.py` decides, `begin.py` for callers who make the
draws themselves, and `background.py` runs beside it. Services in other languages are lent the word (`lent_word.py`),
and their rows are made here of their draws (`foreign_rows.py`). Not here: how a case is decided (`verifier`), what the
flag says (`flag`), how rows are stored (`store`).
"""
