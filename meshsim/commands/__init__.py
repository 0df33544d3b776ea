"""What a user types, and what is answered.

A *command* reads its options, calls one function of the rooms below and returns an *answer*: a *document* (the stable
JSON of ``--json``), the exit code of the public contract, and a way to draw the same for people. *Drawing* is done into
text of a known width; only ``cli.py`` writes to the terminal, sets exit codes and turns errors into lines. *Progress*
is a bar on a terminal's standard error. An *interruption* is a signal that ends the command.

Not here: any figure (``analysis/``), any file of a run folder (``results/``), anything a notebook would need.
"""
