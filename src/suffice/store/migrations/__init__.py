"""The schema's history, one revision a file. Revisions are numbered, so that a newer store is recognised as newer."""
