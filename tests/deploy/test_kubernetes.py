"""config/kubernetes: built by kustomize, checked against Kubernetes' schemas and by kube-score, and what both miss."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import driftd
from driftd.settings.load import load
from tests.broker import ROOT
from tests.deploy import prometheusrule
from tests.deploy.files import KUBERNETES, UID, built, checked, image_environment, manifests, parses
from tests.deploy.tools import tool

pytestmark = pytest.mark.timeout(900)  # a checker may have to be built
FOLDERS = ("base", "overlays/example")
VERSION = "1.37"
CUSTOM = ("PrometheusRule", "ServiceMonitor")
"""Kinds that Kubernetes has no schema of: the tests below look at them."""


def pod(folder: str) -> dict[str, Any]:
    spec: dict[str, Any] = manifests(folder)["StatefulSet"]["spec"]["template"]["spec"]
    return spec


def container(folder: str) -> dict[str, Any]:
    (found,) = pod(folder)["containers"]
    one: dict[str, Any] = found
    return one


def settings_file(folder: str, tmp_path: Path) -> Path:
    (tmp_path / "driftd.yaml").write_text(manifests(folder)["ConfigMap"]["data"]["driftd.yaml"])
    return tmp_path / "driftd.yaml"


@pytest.fixture(params=FOLDERS)
def folder(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_every_manifest_is_one_of_kubernetes(folder: str, tmp_path: Path):
    (tmp_path / "all.yaml").write_text(built(folder))
    validate = Path(sys.executable).with_name("kubernetes-validate")
    command = (validate, "--strict", "-k", VERSION, tmp_path / "all.yaml")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    unknown = [line for line in said.splitlines() if "Couldn't find schema" in line]
    assert len(unknown) == len(CUSTOM)
    assert all(any(kind in line for kind in CUSTOM) for line in unknown)
    for kind in manifests(folder).keys() - {*CUSTOM}:
        assert f"resource {kind.lower()}/" in said, "each was looked at"


def test_kube_score_has_nothing_to_say(folder: str, tmp_path: Path):
    (tmp_path / "all.yaml").write_text(built(folder))
    optional = ("container-seccomp-profile", "container-ports-check")
    done = subprocess.run(
        [
            *(tool("kube-score"), "score", "--exit-one-on-warning", "--output-format", "ci"),
            *(word for name in optional for word in ("--enable-optional-test", name)),
            tmp_path / "all.yaml",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[OK] driftd" in done.stdout


def test_its_settings_are_right_and_agree_with_ports_volumes_and_the_image(folder: str, tmp_path: Path):
    file = settings_file(folder, tmp_path)
    assert checked(file) == ""
    settings, one = load(file, {}), container(folder)
    assert settings.http.listen == image_environment()["DRIFTD_HTTP__LISTEN"]
    assert one["ports"] == [{"containerPort": settings.http.port, "name": "http"}]
    (port,) = manifests(folder)["Service"]["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (settings.http.port, "http")
    (let_in,) = manifests(folder)["NetworkPolicy"]["spec"]["ingress"]
    assert let_in["ports"] == [{"port": settings.http.port, "protocol": "TCP"}]
    kafka = {int(address.rpartition(":")[2]) for address in settings.kafka.bootstrap_servers.split(",")}
    let_out = [p["port"] for rule in manifests(folder)["NetworkPolicy"]["spec"]["egress"] for p in rule["ports"]]
    assert kafka <= {*let_out}
    mounts = {mount["name"]: mount["mountPath"] for mount in one["volumeMounts"]}
    assert mounts["state"] == str(settings.state.directory) == image_environment()["DRIFTD_STATE__DIRECTORY"]
    claims = {claim["metadata"]["name"] for claim in manifests(folder)["StatefulSet"]["spec"]["volumeClaimTemplates"]}
    assert mounts.keys() == claims | {volume["name"] for volume in pod(folder)["volumes"]}


def test_its_command_line_is_one_and_names_the_file_that_is_mounted(folder: str):
    args, mounts = container(folder)["args"], container(folder)["volumeMounts"]
    parses(args)
    assert "command" not in container(folder), "the image's"
    config = Path(args[args.index("--config") + 1])
    assert str(config.parent) in [mount["mountPath"] for mount in mounts if mount["name"] == "config"]
    assert config.name in manifests(folder)["ConfigMap"]["data"]
    named = [volume["configMap"]["name"] for volume in pod(folder)["volumes"] if volume["name"] == "config"]
    assert named == [manifests(folder)["ConfigMap"]["metadata"]["name"]]
    assert named[0].startswith("driftd-"), "with the hash of what is in it"
    assert container(folder)["image"].rpartition(":")[2] == driftd.__version__


def test_it_may_do_little(folder: str):
    spec, one = pod(folder), container(folder)
    who = spec["securityContext"]
    assert (who["runAsNonRoot"], who["runAsUser"], who["runAsGroup"], who["fsGroup"]) == (True, UID, UID, UID)
    assert who["seccompProfile"] == {"type": "RuntimeDefault"}
    assert one["securityContext"] == {
        "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True,
    }  # fmt: skip
    assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (False, False)


def test_probes_ask_what_each_is_for(folder: str):
    paths = {name: container(folder)[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {name: get["path"] for name, get in paths.items()} == {
        "startup": "/livez", "liveness": "/livez", "readiness": "/readyz",  # a restart mends no unreadiness
    }  # fmt: skip
    assert {get["port"] for get in paths.values()} == {"http"}
    assert manifests(folder)["Service"]["spec"]["publishNotReadyAddresses"] is True


def test_all_selectors_find_the_pod(folder: str):
    found = manifests(folder)
    labels = found["StatefulSet"]["spec"]["template"]["metadata"]["labels"].items()
    selectors = [found[kind]["spec"]["selector"]["matchLabels"] for kind in ("StatefulSet", "ServiceMonitor")]
    selectors += [found["Service"]["spec"]["selector"], found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"]]
    assert all(selector and selector.items() <= labels for selector in selectors)
    assert selectors[1].items() <= found["Service"]["metadata"]["labels"].items(), "of services, not of pods"
    assert found["StatefulSet"]["spec"]["serviceName"] == found["Service"]["metadata"]["name"]
    assert found["StatefulSet"]["spec"]["replicas"] == 1


def test_the_service_monitor_scrapes_the_port_and_names_the_job(folder: str):
    monitor, service = manifests(folder)["ServiceMonitor"], manifests(folder)["Service"]
    assert monitor["apiVersion"] == manifests(folder)["PrometheusRule"]["apiVersion"] == "monitoring.coreos.com/v1"
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]
    assert endpoint["path"] == "/metrics"
    assert service["metadata"]["labels"][monitor["spec"]["jobLabel"]] == "driftd"


def flat(rules: object) -> str:
    """As one text, without what white space says."""
    return re.sub(r"(\\n|\s)+", " ", json.dumps(rules, sort_keys=True))


def test_the_prometheus_rule_is_prometheus_own(folder: str):
    assert prometheusrule.TARGET.read_text() == prometheusrule.rendered(), "run: make prometheusrule"
    rules = yaml.safe_load((ROOT / "config" / "prometheus" / "rules.yml").read_text())
    made = manifests(folder)["PrometheusRule"]["spec"]
    # kustomize writes folded texts anew, with other white space.
    assert flat(made) == flat(rules)


def test_everything_of_the_example_is_in_its_namespace():
    for kind, one in manifests("overlays/example").items():
        assert (one["metadata"].get("namespace") or kind) in ("driftd", "Namespace")
    labels = manifests("overlays/example")["Namespace"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_no_file_is_left_out():
    """A manifest that no kustomization names is dead."""
    for kustomization in KUBERNETES.rglob("kustomization.yaml"):
        read = yaml.safe_load(kustomization.read_text())
        named = {
            *read["resources"],
            *(f for one in read["configMapGenerator"] for f in one["files"]),
            kustomization.name,
        }
        assert {path.name for path in kustomization.parent.glob("*.*")} <= named
