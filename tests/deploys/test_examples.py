"""The examples of how to deploy: every command and path in them is one that this release has."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from pynenc.cli.entry import cli
from pynenc.cli.runner import KINDS
from pynenc.config.sources import SETTINGS
from pynenc.runners.health_server import health_pages
from pynenc.runners.pulse import Health
from pynenc.runners.signals import _OVERTIME_S
from tests.deploys.conftest import wait_until

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "examples" / "deploy"
UNIT = DEPLOY / "systemd" / "pynenc@.service"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))


def options_of(words: list[str]) -> dict[str, Any]:
    """Return the options of a command as our command line reads them; it refuses what it does not know."""
    assert Path(words[0]).name == "pynenc"
    command: click.Command = cli
    arguments = words[1:]
    found: dict[str, Any] = {}
    while isinstance(command, click.Group):
        with command.make_context("pynenc", list(arguments), resilient_parsing=False) as context:
            found |= context.params
            name, *arguments = [*context._protected_args, *context.args]
        following = command.get_command(context, name)
        assert following is not None, f"no command {name}"
        command = following
    with command.make_context(command.name, arguments) as context:
        return found | context.params


def containers() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield each container of the manifests with the pod that it is in."""
    for file in MANIFESTS:
        for document in yaml.safe_load_all(file.read_text()):
            pod = document["spec"] if document["kind"] == "Pod" else document["spec"]["template"]["spec"]
            for container in pod["containers"]:
                yield pod, container


def test_the_unit_starts_a_runner_of_this_release() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[method-assign,assignment]  # the names of directives have capitals
    unit.read_string(UNIT.read_text())
    service = unit["Service"]

    options = options_of(shlex.split(service["ExecStart"]))

    assert options["app_location"] == "shop.tasks"
    assert options["kind"] in KINDS
    assert (service["Type"], service["KillMode"]) == ("notify", "mixed")
    assert float(service["TimeoutStopSec"]) > options["drain_timeout"] + _OVERTIME_S
    assert float(service["WatchdogSec"]) > SETTINGS["health_within_seconds"].default


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    # What it names need not be on this machine: the program, its folder and its user.
    text = re.sub(r"^ExecStart=\S+", f"ExecStart={sys.executable}", UNIT.read_text(), flags=re.MULTILINE)
    file = tmp_path / "pynenc@1.service"
    file.write_text(text)

    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "notice"},
    )

    said = [line for line in (done.stdout + done.stderr).splitlines() if file.name in line]
    assert said == []


def test_the_manifests_start_runners_of_this_release_with_probes_that_they_answer() -> None:
    served = health_pages(lambda: Health(True, True))
    seen = 0

    for pod, container in containers():
        options = options_of([*container["command"], *container["args"]])
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", ())}
        assert options["kind"] in KINDS
        assert pod["terminationGracePeriodSeconds"] > options["drain_timeout"] + _OVERTIME_S
        for name, probe in container.items():
            if name.endswith("Probe"):
                seen += 1
                if "httpGet" in probe:
                    assert probe["httpGet"]["path"] in served
                    assert ports[probe["httpGet"]["port"]] == options["health_port"]
                else:
                    assert str(options_of(probe["exec"]["command"])["file"]) == options["alive_file"]

    assert seen == 4


def test_a_web_application_runs_its_tasks_beside_its_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastapi.testclient import TestClient

    from examples import fastapi_app

    monkeypatch.setattr(fastapi_app.app.conf, "url", f"sqlite:///{tmp_path / 'letters.db'}")
    fastapi_app.app.release_backend()

    with TestClient(fastapi_app.api) as client:
        answered = client.get("/letters/hello").json()
        accepted = client.post("/letters/abba")
        where = f"/invocations/{accepted.json()['id']}"
        wait_until(lambda: client.get(where).json()["status"] == "success", "the task ends")
        shown = client.get(where).json()
        unknown = client.get("/invocations/0192f0c1-0000-7000-8000-000000000000")
        wait_until(lambda: client.get("/livez").json()["ready"], "the runner is ready")
        running = client.get("/livez")
    stopped = fastapi_app.app.runner.health()
    fastapi_app.app.release_backend()

    assert answered == {"e": 1, "h": 1, "l": 2, "o": 1}
    assert (accepted.status_code, shown) == (202, {"status": "success", "result": {"a": 2, "b": 2}})
    assert unknown.status_code == 404
    assert (running.status_code, running.json()["alive"]) == (200, True)
    assert stopped.reason == "not running"
