"""The receivers as the daemon wires them: from settings, with the memory of the state directory."""

from __future__ import annotations

from driftd.core.view import Runtime
from driftd.outlet import Outlet
from driftd.settings.load import load
from driftd.store.store import Store
from tests.deliver.cases import OfAlertmanager, case, real_alertmanager
from tests.deliver.endpoint import wait_until
from tests.store.examples import action, owed


def test_what_fires_outlives_a_restart_of_the_daemon_and_of_alertmanager(tmp_path):
    state, config = tmp_path / "state", tmp_path / "driftd.yaml"

    def outlet(port: int) -> Outlet:
        urls = f"urls: 'http://127.0.0.1:{port}', resend_every: 100ms"
        config.write_text(f"state: {{directory: {state}}}\nreceivers: {{ops: {{alertmanager: {{{urls}}}}}}}\n")
        return Outlet(state, load(config, {}), Runtime)

    with case("alertmanager", tmp_path) as one:
        assert isinstance(one, OfAlertmanager)
        with Store.open(state, group="driftd") as store:
            carrier = outlet(one.port)
            carrier.start()
            store.commit(owed(action(1, alerts=("a", "b"))))
            carrier.wake()
            wait_until(lambda: len(one.alerts()) == 2)
            carrier.close()
    (tmp_path / "again").mkdir()
    with real_alertmanager(tmp_path / "again") as port, Store.open(state, group="driftd") as store:
        holds = OfAlertmanager("alertmanager", one.service, port=port)
        carrier = outlet(port)
        carrier.start()
        wait_until(lambda: len(holds.alerts()) == 2)
        store.commit(owed(action(2, "driftd.alert.resolved", alerts=("a", "b"))))
        carrier.wake()
        wait_until(lambda: not holds.alerts())
        carrier.close()


def test_what_a_receiver_of_another_kind_remembered_is_forgotten(tmp_path):
    """One that comes back after months must not tell again what fired then."""
    state, config = tmp_path / "state", tmp_path / "driftd.yaml"
    Store.open(state, group="driftd").close()
    with case("alertmanager", tmp_path) as one:
        assert isinstance(one, OfAlertmanager)
        kinds = (f"alertmanager: {{urls: 'http://127.0.0.1:{one.port}'}}", "webhook: {url: 'http://127.0.0.1:1/'}")
        for kind in (*kinds, kinds[0]):
            config.write_text(f"receivers: {{ops: {{{kind}}}}}\n")
            carrier = Outlet(state, load(config, {}), Runtime)
            before = carrier._memories.of("alertmanager ops").all("")
            assert before == ({"alert a": {"labels": {}}} if kind.startswith("webhook") else {})
            carrier.start()
            if kind == kinds[0]:
                carrier._memories.of("alertmanager ops").remember({"alert a": {"labels": {}}})
            carrier.close()
