"""The sample files of ``trioecho deploy``: each is held to the tool that it is for."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import run_command
from tests.support.programs import needs_program
from trioecho import deploy
from trioecho.deploy import DEPLOY_FILES, read_deploy_file


def test_every_sample_is_listed_and_printed() -> None:
    files = {each.name for each in resources.files(deploy).iterdir() if each.is_file()} - {"__init__.py"}
    assert files == set(DEPLOY_FILES)
    listed = run_command("deploy").stdout
    assert [line.split()[0] for line in listed.splitlines()] == list(DEPLOY_FILES)
    assert max(map(len, listed.splitlines())) <= 80
    for name in DEPLOY_FILES:
        done = run_command("deploy", name)
        assert (done.returncode, done.stdout) == (0, read_deploy_file(name))


def accepted(words: list[str]) -> None:
    """Hold the words of a command line to the program's own parser."""
    assert words[:2] == ["trioecho", "serve"]
    done = run_command(*words[1:], "--show-config")
    assert (done.returncode, done.stderr) == (0, "")


# ---- systemd ----


@pytest.fixture
def units(tmp_path: Path) -> Path:
    for name in ("trioecho.service", "trioecho.socket"):
        text = read_deploy_file(name).replace(
            "/usr/local/bin/trioecho", f"{Path(sys.executable).parent}/trioecho"
        )
        (tmp_path / name).write_text(text)
    return tmp_path


def test_systemd_finds_nothing_wrong_with_the_units(units: Path) -> None:
    command = [needs_program("systemd-analyze"), "verify", "--man=no", *map(str, units.iterdir())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_systemd_takes_the_service_for_well_confined(units: Path) -> None:
    analyze = [needs_program("systemd-analyze"), "security", "--offline=yes", "--no-pager", "--threshold=15"]
    done = subprocess.run(
        [*analyze, str(units / "trioecho.service")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_systemd_starts_is_accepted() -> None:
    command = re.search(r"^ExecStart=/usr/local/bin/(.*)", read_deploy_file("trioecho.service"), re.MULTILINE)
    assert command
    accepted(shlex.split(command[1]))


# ---- containers ----


def words_of(instruction: str) -> list[str]:
    """Return the command of an instruction of the Containerfile, which is in the exec form."""
    found = re.search(rf"^{instruction} .*?(\[.*\])$", read_deploy_file("Containerfile"), re.MULTILINE)
    assert found
    words: list[str] = json.loads(found[1])
    return words


def test_what_the_container_starts_is_accepted() -> None:
    accepted(words_of("ENTRYPOINT"))


def test_the_container_is_healthy_exactly_while_it_serves(tmp_path: Path) -> None:
    start = [word if word != "26066" else "0" for word in words_of("ENTRYPOINT")[1:]]
    process = subprocess.Popen(
        [sys.executable, "-m", "trioecho", *start],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr is not None
        listening = re.search(r"listening on 0\.0\.0\.0:(\d+)", process.stderr.readline())
        assert listening
        check = [word.replace("26066", listening[1]) for word in words_of("HEALTHCHECK")[1:]]
        assert run_command(*check).returncode == 0
        process.terminate()
        assert process.wait() == 0
    assert run_command(*check).returncode != 0


# ---- Kubernetes ----


def test_the_manifest_is_what_kubernetes_expects() -> None:
    validate = pytest.importorskip("kubernetes_validate")
    documents = manifests()
    assert [each["kind"] for each in documents] == ["Deployment", "Service", "PodDisruptionBudget"]
    for each in documents:
        validate.validate(each, validate.latest_version(), strict=True)


def test_what_the_pod_starts_is_accepted_and_its_end_has_time() -> None:
    pod = manifests()[0]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    accepted([*words_of("ENTRYPOINT"), *container["args"]])
    waits_s = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > waits_s + 10  # as --grace
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {
        "frames": 26066,
        "admin": 26068,
    }


def manifests() -> list[dict[str, Any]]:
    yaml = pytest.importorskip("yaml")
    documents: list[dict[str, Any]] = list(yaml.safe_load_all(read_deploy_file("kubernetes.yaml")))
    return documents
