"""What a user writes, read once into frozen types.

A *scenario* is the validated content of one YAML file: network, services, mesh, traffic, faults, expectations.
A *unit string* (``10 ms``, ``1 Gbit/s``, ``20 %``) is how a quantity is written; it becomes an integer in its base
unit.
A *diagnostic* is one mistake with its file, line, column, what is wrong and what would be right.
A *cost profile* is a versioned file of what each operation costs on each CPU; a *data table* is a shipped file of
published figures (the standardised 5QI values, for one).

Not here: anything that moves in time, and anything that knows how a setting is carried out.
"""
