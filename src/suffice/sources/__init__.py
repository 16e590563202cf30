"""Where cases come from: the particle measurements of `pdg`, CODATA revisions, the even set, a user's own files of
corrections or of recorded samples, and the function of a service that builds its cases.

Here: reading and checking input, turning it into corrections and cases, and what a case can be made of again
(`recipe`). Not here: deciding anything.
"""
