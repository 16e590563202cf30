"""The store: one schema for records, provenance, the decision ledger and its roll-ups, rollouts, words, processes, the
journal, leases, receipts, triage items and the outbox.

Here: tables, migrations, transactions, and reading and writing rows, in SQLite by default and PostgreSQL by URL.
Not here: what rows mean for a decision, a record or a rollout (`serving`, `resolution`, `gates`, `rollout`).
"""
