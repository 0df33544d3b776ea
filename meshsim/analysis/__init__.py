"""What the numbers mean: from tables to metrics, verdicts, pictures and a report. All that notebooks import.

A *run* is a frozen view of a run folder. A *selection* says which requests are meant (slice, service, flow, window). A
*metric* is one number of a selection, exact, in its base unit; a *verdict* compares it with an expectation: pass, fail,
or inconclusive when there was nothing to measure. The *summary* is every figure that people quote, as plain JSON; the
*report* is one page of HTML with the pictures in it.

Not here: running anything, and writing anything to disk.
"""
