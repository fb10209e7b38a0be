"""docker-compose.yml: what compose-go takes, and what it does not look at."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import driftd
from driftd.settings.load import load
from tests.broker import POM, ROOT
from tests.components import amtool, promtool
from tests.deploy.files import UID, checked, image_environment, last, parses, project

pytestmark = pytest.mark.timeout(900)  # a checker may have to be built
OURS = ("driftd", "traffic")
COMPOSE = ROOT / "config" / "compose"


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = project()["services"]
    return found


def binds(service: str) -> dict[str, Path]:
    """Files of the repository, by where they are mounted."""
    mounts = services()[service].get("volumes", ())
    return {one["target"]: Path(one["source"]) for one in mounts if one["type"] == "bind"}


def test_it_has_all_of_it():
    assert set(services()) == {"kafka", "driftd", "traffic", "prometheus", "alertmanager", "grafana"}


@pytest.mark.parametrize("service", ["kafka", "driftd", "traffic", "prometheus", "alertmanager", "grafana"])
def test_each_service_is_held_in(service: str):
    one = services()[service]
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert one.get("read_only", False) is (service != "kafka")
    limits = one["deploy"]["resources"]["limits"]
    assert limits.keys() == {"cpus", "memory", "pids"}
    assert {port["host_ip"] for port in one.get("ports", ())} <= {"127.0.0.1"}
    assert ":" in one["image"]
    assert not one["image"].endswith(":latest")
    assert all(mount["read_only"] for mount in one.get("volumes", ()) if mount["type"] == "bind")


def test_who_waits_for_whom_waits_for_health():
    for name, one in services().items():
        for other, how in one.get("depends_on", {}).items():
            assert how["condition"] == "service_healthy", name
            checks = services()[other].get("healthcheck") or (other == "driftd" and last("HEALTHCHECK"))
            assert checks, f"{name} waits for {other}, which has no health check"


def test_every_mounted_file_is_in_the_repository():
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    files = listed.stdout.splitlines()
    for service in services():
        for source in binds(service).values():
            inside = str(source.relative_to(ROOT))
            assert source.exists(), source
            assert any(file == inside or file.startswith(f"{inside}/") for file in files), inside


def test_volumes_are_declared_and_each_has_one_user():
    used = [m["source"] for one in services().values() for m in one.get("volumes", ()) if m["type"] == "volume"]
    assert sorted(used) == sorted(project()["volumes"])


def test_our_command_lines_are_commands():
    for name in OURS:
        parses(services()[name].get("command") or last("CMD").words)
        assert services()[name]["image"] == f"driftd:{driftd.__version__}"
    assert [name for name in services() if "build" in services()[name]] == ["driftd"]


def test_driftds_settings_are_right_and_agree_with_the_image_and_the_ports():
    file = binds("driftd")[image_environment()["DRIFTD_CONFIG"]]
    assert checked(file) == ""
    settings = load(file, {})
    assert settings.http.listen == image_environment()["DRIFTD_HTTP__LISTEN"]
    assert [port["target"] for port in services()["driftd"]["ports"]] == [settings.http.port]
    assert settings.http.external_url == f"http://localhost:{services()['driftd']['ports'][0]['published']}"
    states = [m["target"] for m in services()["driftd"]["volumes"] if m["type"] == "volume"]
    assert states == [str(settings.state.directory)] == [image_environment()["DRIFTD_STATE__DIRECTORY"]]
    assert "user" not in services()["driftd"], "the image's own"
    writable = [word for word in services()["traffic"]["tmpfs"] if word.startswith(str(settings.state.directory))]
    assert [f"uid={UID},gid={UID}" in word for word in writable] == [True]


def test_traffic_goes_where_driftd_reads():
    settings = load(COMPOSE / "driftd.yaml", {})
    command = services()["traffic"]["command"]
    assert command[command.index("--bootstrap") + 1] == settings.kafka.bootstrap_servers
    assert list(settings.kafka.topics.predictions) == ["predictions"]
    assert "--topic" not in command
    kafka = services()["kafka"]["environment"]
    assert settings.kafka.bootstrap_servers in kafka["KAFKA_ADVERTISED_LISTENERS"]


def test_the_broker_is_the_version_of_the_tests():
    version = re.search(r"<artifactId>kafka_2.13</artifactId>\s*<version>(.+?)</version>", POM.read_text())
    assert version
    assert services()["kafka"]["image"] == f"apache/kafka:{version[1]}"
    data = [mount["target"] for mount in services()["kafka"]["volumes"]]
    assert data == [services()["kafka"]["environment"]["KAFKA_LOG_DIRS"]]


def test_prometheus_takes_its_configuration_and_finds_its_rules(tmp_path: Path):
    mounted = binds("prometheus")
    config = next(w.partition("=")[2] for w in services()["prometheus"]["command"] if w.startswith("--config.file="))
    text = mounted[config].read_text()
    rules = next(target for target in mounted if "/rules/" in target)
    assert yaml.safe_load(text)["rule_files"] == [f"{Path(rules).parent}/*{Path(rules).suffix}"]
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / Path(rules).name).write_text(mounted[rules].read_text())
    (tmp_path / "prometheus.yml").write_text(text.replace(str(Path(rules).parent), str(tmp_path / "rules")))
    check = (promtool(), "check", "config", tmp_path / "prometheus.yml")
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"[1-9]\d* rules found", done.stdout), "promtool does not mind a pattern that matches nothing"


def test_alertmanager_takes_its_configuration():
    mounted = binds("alertmanager")
    config = next(w.partition("=")[2] for w in services()["alertmanager"]["command"] if w.startswith("--config.file="))
    done = subprocess.run([amtool(), "check-config", mounted[config]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_who_speaks_to_whom_names_a_service_and_its_port():
    ports = {name: {port["target"] for port in one.get("ports", ())} for name, one in services().items()}
    prometheus = yaml.safe_load((COMPOSE / "prometheus.yml").read_text())
    told = [t for one in prometheus["scrape_configs"] for static in one["static_configs"] for t in static["targets"]]
    told += [t for one in prometheus["alerting"]["alertmanagers"] for s in one["static_configs"] for t in s["targets"]]
    told += [one["url"] for one in yaml.safe_load((ROOT / "config/grafana/datasources.yml").read_text())["datasources"]]
    told += load(COMPOSE / "driftd.yaml", {}).receivers["alertmanager"].alertmanager.urls  # type: ignore[union-attr]
    assert len(told) == 4
    for one in told:
        host, _, port = one.removeprefix("http://").partition(":")
        assert int(port) in ports[host], one


def test_grafana_finds_its_dashboards_and_they_their_datasource():
    mounted = binds("grafana")
    providers = yaml.safe_load(mounted["/etc/grafana/provisioning/dashboards/driftd.yml"].read_text())["providers"]
    boards = {p: json.loads(p.read_text()) for one in providers for p in mounted[one["options"]["path"]].glob("*.json")}
    assert {"fleet.json", "model.json", "driftd.json"} <= {path.name for path in boards}
    home = services()["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (mounted[str(Path(home).parent)] / Path(home).name) in boards
    sources = yaml.safe_load(mounted["/etc/grafana/provisioning/datasources/driftd.yml"].read_text())["datasources"]
    assert [(one["type"], one["isDefault"]) for one in sources] == [("prometheus", True)]
    for board in boards.values():
        asked = [v["query"] for v in board["templating"]["list"] if v["type"] == "datasource"]
        assert asked == [sources[0]["type"]]
        assert len(board["uid"]) <= 40
