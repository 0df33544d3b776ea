"""What a run leaves behind on disk, and the only room that writes it.

A *run folder* holds one complete run: ``manifest.json``, ``scenario.yaml``, ``summary.json``, ``report.html`` and one
Parquet file per *table*. While a run is being written it is a *partial folder*: a hidden sibling of its final place,
renamed when complete. The *manifest* says what the run was made from and carries the *digest*, one hash over the
content of all tables, by which two runs are known to be the same. *Host facts* (when, where, how long) stand apart,
outside it.

Not here: what the numbers mean (``analysis/``), and what a row is (``telemetry/``).
"""
