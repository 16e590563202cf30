"""The staged switch from fixed to adaptive: phases as a table, a pure controller, and the shell that carries out its
commands.

Here: deciding when a stage ends, pauses or is rolled back, and doing what follows. Not here: judging evidence
(`gates`).
"""
