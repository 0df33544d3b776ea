"""What calibration times.

A *probe* does one thing once and gives its CPU times by name; a *round* is what one pass over all probes gave; the
*stopwatch* reads this thread's CPU time. A *figure* is one number of a cost profile, derived from raw times.

Not here: the text of a profile (that is ``calibrate``), and anything that a simulation uses.
"""
