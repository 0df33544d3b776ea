"""A run as notebooks see it: typed frames, the summary, the pictures."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pydantic import ValidationError

from meshsim.analysis.data import RunData
from meshsim.analysis.metrics import METRICS, measure
from meshsim.analysis.selection import Selection, Value
from meshsim.results.folder import SCENARIO
from meshsim.results.stored import StoredRun, open_run_folder
from meshsim.results.tables import read_table
from meshsim.scenario.errors import ScenarioError, UsageError
from meshsim.scenario.model import Scenario
from meshsim.scenario.words import expected, nearest
from meshsim.scenario.yaml_text import parse_yaml
from meshsim.telemetry.rows import TABLES

if TYPE_CHECKING:
    import pandas as pd

    from meshsim.analysis.pictures import Picture


class Run(RunData):
    """A complete run folder, opened for reading. Nothing in it can be changed through this view.

    Frames have the columns of the contract: ``int64``, ``bool``, and categories for strings. They are read when first
    asked for.
    """

    def __init__(self, stored: StoredRun, scenario: Scenario) -> None:
        super().__init__(stored.path, scenario, stored.manifest)
        self._stored = stored
        self._frames: dict[str, pd.DataFrame] = {}

    @property
    def digest(self) -> str:
        """The digest of the tables: equal for equal results."""
        return self.manifest.digest

    @property
    def report_path(self) -> Path:
        """The report, one page of HTML."""
        return self._stored.report_path

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The content of ``summary.json``."""
        return self._stored.summary()

    @property
    def expectations(self) -> pd.DataFrame:
        """One row per expectation: what was expected, the verdict, what was measured."""
        import pandas as pd

        names = ["expectation", "verdict", "measured", "value", "reason"]
        return pd.DataFrame(self.summary["expectations"], columns=names)

    @property
    def slices(self) -> pd.DataFrame:
        """One row per slice: the figures of the summary, without the attribution and the figures of the air."""
        import pandas as pd

        return pd.DataFrame(
            {
                name: {
                    key: value
                    for key, value in self.summary["slices"][name].items()
                    if key != "radio" and not isinstance(value, dict)
                }
                for name in self.scenario.network.slices
            }
        ).T.infer_objects()

    @property
    def requests(self) -> pd.DataFrame:
        """End-user requests."""
        return self.frame("requests")

    @property
    def calls(self) -> pd.DataFrame:
        """Calls between services."""
        return self.frame("calls")

    @property
    def handshakes(self) -> pd.DataFrame:
        """TLS handshakes."""
        return self.frame("handshakes")

    @property
    def decisions(self) -> pd.DataFrame:
        """Policy decisions."""
        return self.frame("decisions")

    @property
    def identities(self) -> pd.DataFrame:
        """Certificate events."""
        return self.frame("identities")

    @property
    def issuances(self) -> pd.DataFrame:
        """Certificates that were asked for."""
        return self.frame("issuances")

    @property
    def bundles(self) -> pd.DataFrame:
        """Fetches of other trust domains' bundles."""
        return self.frame("bundles")

    @property
    def faults(self) -> pd.DataFrame:
        """Faults and what they touched."""
        return self.frame("faults")

    @property
    def configs(self) -> pd.DataFrame:
        """Configuration pushes."""
        return self.frame("configs")

    @property
    def nodes(self) -> pd.DataFrame:
        """Nodes, sampled."""
        return self.frame("nodes")

    @property
    def links(self) -> pd.DataFrame:
        """Links, sampled."""
        return self.frame("links")

    @property
    def radio(self) -> pd.DataFrame:
        """Packets over the air, sampled."""
        return self.frame("radio")

    @property
    def changes(self) -> pd.DataFrame:
        """Changes of configuration, and how each spread."""
        return self.frame("changes")

    @property
    def revocations(self) -> pd.DataFrame:
        """Revocations of certificates, how word of each spread, and what was served in spite of it."""
        return self.frame("revocations")

    @property
    def admissions(self) -> pd.DataFrame:
        """What cells answered devices that asked for a bit rate."""
        return self.frame("admissions")

    def frame(self, table: str) -> pd.DataFrame:
        """A table as a frame; KeyError for an unknown table, UsageError if its file is damaged."""
        if table not in TABLES:
            raise KeyError(f"no table {table!r}; there are {', '.join(TABLES)}")
        if table not in self._frames:
            try:
                self._frames[table] = read_table(self.path, table).to_pandas()
            except (OSError, pa.ArrowException) as error:
                raise UsageError(f"table {table} of {self.path} cannot be read: {error}") from error
        return self._frames[table]

    def metric(
        self,
        name: str,
        *,
        slice: str | None = None,
        service: str | None = None,
        source: str | None = None,
        during: str | None = None,
    ) -> Value | None:
        """One metric of the requests that match all filters, exact and in its base unit; None without any.

        Raises UsageError for an unknown metric, slice, service, flow, phase or fault.
        """
        if name not in METRICS:
            known = sorted(METRICS)
            meant = expected(name, known) if nearest(name, known) else f"there are {', '.join(known)}"
            raise UsageError(f"no metric {name!r}; {meant}")
        for kind, asked, known in (
            ("slice", slice, list(self.scenario.network.slices)),
            ("service", service, list(self.scenario.services)),
            ("flow", source, [flow.key for flow in self.scenario.traffic]),
        ):
            if asked is not None and asked not in known:
                raise UsageError(f"no {kind} {asked!r}; {expected(asked, known)}")
        if METRICS[name].table == "radio" and (service is not None or source is not None):
            raise UsageError(f"{name} counts the packets of slices; expected no service and no source")
        try:
            return measure(self, name, Selection(slice, service, source, during))
        except KeyError as error:
            windows = [*self.scenario.phases, *self.fault_windows]
            raise UsageError(f"no phase or fault {during!r}; there are {', '.join(windows) or 'none'}") from error

    def picture(self, name: str) -> Picture:
        """One figure of the report by its name: attribution, latency, timeline, handshakes or topology."""
        from meshsim.analysis.plots import PLOTS

        if name not in PLOTS:
            raise UsageError(f"no picture {name!r}; there are {', '.join(PLOTS)}")
        return PLOTS[name](self)

    def verify(self) -> list[str]:
        """Hash scenario and tables again; one line for each difference from the manifest, none if all is well."""
        return self._stored.verify()

    def _repr_html_(self) -> str:
        from meshsim.analysis.report import summary_table

        return summary_table(self, self.summary)


def open_run(path: str | Path) -> Run:
    """Open the run folder ``path``. Raises UsageError, saying why, if it is no complete run."""
    stored = open_run_folder(Path(path))
    try:
        plain, _ = parse_yaml(stored.scenario_text(), SCENARIO)
        scenario = Scenario.model_validate(plain)
    except (OSError, UnicodeDecodeError, ScenarioError, ValidationError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise UsageError(
            f"the scenario in {path} cannot be read ({first}): the run is damaged, or of another version "
            f"({stored.versions})"
        ) from error
    stored.check_columns()
    return Run(stored, scenario)
