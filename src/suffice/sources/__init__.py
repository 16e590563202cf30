"""Where cases come from: the particle measurements of `pdg`, CODATA revisions, the even set, a user's own files of
corrections or of recorded samples.

Here: reading and checking input, and turning it into corrections and cases. Not here: deciding anything.
"""
