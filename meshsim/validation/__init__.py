"""What meshsim's numbers are held against: closed forms, OpenSSL, and what others have measured and published.

A *criterion* is one thing that must hold; a *claim* is one about a number that the simulator comes to, with the number
that it should be and how far apart they may be. A *section* is the criteria about one part of the simulator.
docs/validation.md is the document of all sections.

Sections use the parts that simulations use, never a copy of them. Not here: tests (which look for mistakes in code),
the benchmark's speeds, and expectations of scenarios.
"""
