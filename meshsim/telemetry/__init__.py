"""What a run says about itself, row by row.

A *row* is one frozen record of one fact (a request, a handshake, a decision ...); there is one row type per table, and
the table's columns, types and documentation come from it. A *recorder* takes rows as they happen and hands them on in
batches to a *sink*, so that memory does not grow with the number of requests.

Not here: files and formats (``results/``), and every figure that is computed from rows (``analysis/``).
"""
