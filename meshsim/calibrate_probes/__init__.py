"""What calibration times.

A *probe* does one thing once and gives its CPU times by name; a *round* is what one pass over all probes gave; the
*stopwatch* reads this thread's CPU time.

Not here: what is made of the times (that is ``calibrate``), and anything that a simulation uses.
"""
