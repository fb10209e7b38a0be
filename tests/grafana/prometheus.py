"""A real Prometheus that scrapes one target every second, with the project's own rules, and what it says."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any, Self

import httpx

from tests.broker import ROOT
from tests.components import prometheus
from tests.e2e.daemon import wait_for

RULES = ROOT / "config" / "prometheus" / "rules.yml"
LISTENING = re.compile(r'msg="Listening on" address=(\S+)')
Series = dict[str, Any]


class Prometheus:
    """Scrapes `target` (host:port) as job driftd. Ask it only inside `with`."""

    def __init__(self, directory: Path, target: str) -> None:
        self.directory, self.target = directory, target
        directory.mkdir(parents=True, exist_ok=True)
        self.log = directory / "log"
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._client = httpx.Client(timeout=10)

    def __enter__(self) -> Self:
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES)],
            "scrape_configs": [{"job_name": "driftd", "static_configs": [{"targets": [self.target]}]}],
        }
        (self.directory / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        command = [
            str(prometheus()),
            f"--config.file={self.directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.directory / 'data'}",
            "--web.listen-address=127.0.0.1:0",  # its log says which port it took
            "--log.level=info",
        ]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            self.url = "http://" + wait_for("Prometheus", self._address, 30)
            wait_for("Prometheus' store", lambda: self._client.get(f"{self.url}/-/ready").is_success, 30)
            wait_for("the first scrape", lambda: self.value("up") == 1, 30)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._client.close()

    def _address(self) -> str | None:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()[-2000:]
        found = LISTENING.search(self.log.read_text())
        return found[1] if found else None

    def _get(self, path: str, **params: str | float) -> Any:
        answer = self._client.get(f"{self.url}/api/v1/{path}", params=params)
        document = answer.json()
        assert document["status"] == "success", (params, document)
        return document["data"]

    def now(self, expr: str) -> list[Series]:
        """The series of an instant query."""
        found = self._get("query", query=expr)
        assert found["resultType"] == "vector", expr
        return list(found["result"])

    def lately(self, expr: str, seconds: int = 30) -> list[Series]:
        """The series of a query over the last seconds, a point each."""
        end = time.time()
        return list(self._get("query_range", query=expr, start=end - seconds, end=end, step=1)["result"])

    def value(self, expr: str) -> float | None:
        """The one value of an expression; None where it has none."""
        found = self.now(expr)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def until(self, expr: str, what: str, timeout: float = 60) -> None:
        """Waits until the expression returns something."""
        wait_for(f"{what}: {expr}", lambda: self.now(expr), timeout)

    def alerts(self) -> dict[str, set[str]]:
        """The states that each alert's series are in."""
        found: dict[str, set[str]] = {}
        for alert in self._get("alerts")["alerts"]:
            found.setdefault(alert["labels"]["alertname"], set()).add(alert["state"])
        return found

    def faults(self) -> list[str]:
        """Rules that could not be evaluated."""
        groups = self._get("rules")["groups"]
        return [rule["lastError"] for group in groups for rule in group["rules"] if rule.get("lastError")]
