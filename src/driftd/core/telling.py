"""What a model tells: notifications of what was found, requests to retrain, and how many of each there were."""

from __future__ import annotations

from driftd.core.action import Action
from driftd.core.event import KINDS, Kind
from driftd.core.finding import Finding
from driftd.core.notify import notification, retrain_request
from driftd.core.outcome import Outcome
from driftd.core.retrain import Retraining
from driftd.core.series import Series
from driftd.core.spec import Model
from driftd.core.versions import Versions


class Telling:
    """`transitions`: how many were told, by (rule, type, severity)."""

    def __init__(self, group: str, model: Model, versions: Versions) -> None:
        self.group, self.model, self.versions = group, model, versions
        self.retraining = {kind: Retraining(model.retrain) for kind in KINDS}
        self.transitions: dict[tuple[str, str, str], int] = {}

    def tell(self, version: str, kind: Kind, finding: Finding, out: Outcome) -> None:
        """One finding of a version."""
        self._act(notification(self.group, self.model, version, kind, finding, self.versions.deployed(kind)), out)
        if finding.type == "resolved":
            for subject in finding.subjects:
                self.retraining[kind].forget(subject.alert_id)

    def ask(self, series: Series, end: int, out: Outcome) -> None:
        """Ask for a retraining, where what fires in this series wants one and may have it."""
        retraining = self.retraining[series.kind]
        asking = [a for a in series.firing() if retraining.may_ask(a[0], a[1])]
        if asking and retraining.ask([alert_id for _, _, alert_id, _ in asking], end):
            action = retrain_request(self.group, self.model, series, end, asking)
            retraining.newest_id = action.id
            self._act(action, out)

    def _act(self, action: Action, out: Outcome) -> None:
        out.actions.append(action)
        key = (action.rule, action.type, action.severity)
        self.transitions[key] = self.transitions.get(key, 0) + 1
