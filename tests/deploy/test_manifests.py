"""compose.yaml and the Kubernetes manifests are what their engines take, and the commands in them what ours takes."""

import dataclasses
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from command.options import parse_settings
from launch import cli
from spark_jobs.config import PrepareConfig
from tests.launch.evaluations import write_evaluation

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
COMPOSE_GO = "github.com/compose-spec/compose-go/v2@v2.16.2"
SPARK_OPERATOR = "github.com/kubeflow/spark-operator/v2@v2.5.1"


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((KUBERNETES / name).read_text()))


MANIFESTS = [each for path in sorted(KUBERNETES.glob("*.yaml")) for each in documents(path.name)]
SPARK_APPLICATION, TRAIN_JOB = (
    next(each for each in MANIFESTS if each["kind"] == kind) for kind in ("SparkApplication", "Job")
)


@cache
def go_module(name: str) -> Path:
    """Folder of a Go module, fetched if it is not there; skips the test where it cannot be."""
    if shutil.which("go") is None:
        pytest.skip(f"needs Go, to fetch {name}")
    try:
        result = subprocess.run(
            ["go", "mod", "download", "-json", name], capture_output=True, text=True, check=False, timeout=60, cwd="/"
        )
        told = json.loads(result.stdout)
    except (subprocess.TimeoutExpired, json.JSONDecodeError) as error:
        pytest.skip(f"{name} cannot be fetched: {error}")
    if "Dir" not in told:
        pytest.skip(f"{name} cannot be fetched: {told.get('Error')}")
    return Path(told["Dir"])


def closed(schema: Any) -> Any:
    """The same schema, but no field is allowed that it does not name; Kubernetes would drop such a field in silence."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(each) for name, each in schema.items()}
    return {"additionalProperties": False, **inner} if "properties" in inner and "type" in inner else inner


@cache
def spark_application_schema(api_version: str) -> dict[str, Any]:
    crd = go_module(SPARK_OPERATOR) / "config/crd/bases/sparkoperator.k8s.io_sparkapplications.yaml"
    versions = yaml.load(crd.read_text(), Loader=yaml.CSafeLoader)["spec"]["versions"]  # as safe, and quick
    version = next(each for each in versions if api_version.endswith(f"/{each['name']}"))
    schema = closed(version["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object", "required": ["name"]}
    return schema


def spark_application_errors(manifest: dict[str, Any]) -> list[str]:
    checker = jsonschema.Draft202012Validator(spark_application_schema(manifest["apiVersion"]))
    return [error.message for error in checker.iter_errors(manifest)]


def test_the_spark_application_fits_its_definition() -> None:
    assert spark_application_errors(SPARK_APPLICATION) == []


@pytest.mark.parametrize(("field", "value"), [("instance", 4), ("instances", "four")])
def test_the_definition_refuses_what_is_misspelt(field: str, value: object) -> None:
    spec = SPARK_APPLICATION["spec"]
    wrong = SPARK_APPLICATION | {"spec": spec | {"executor": spec["executor"] | {field: value}}}

    assert any(field in error or str(value) in error for error in spark_application_errors(wrong))


@pytest.mark.parametrize(
    "manifest", [each for each in MANIFESTS if each is not SPARK_APPLICATION], ids=lambda manifest: manifest["kind"]
)
def test_the_manifest_fits_the_schema_of_kubernetes(manifest: dict[str, Any]) -> None:
    kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def test_compose_fits_its_schema() -> None:
    schema = json.loads((go_module(COMPOSE_GO) / "schema" / "compose-spec.json").read_text())

    jsonschema.validate(COMPOSE, schema)


def test_compose_builds_the_targets_of_the_dockerfile() -> None:
    targets = {line.split()[-1] for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("FROM ")}

    assert {service["build"]["target"] for service in COMPOSE["services"].values()} <= targets


@pytest.mark.parametrize("name", ["prepare", "train", "evaluate"])
def test_the_command_of_a_service_is_one_of_ours(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command = command_on_this_machine(name)
    if command[:2] == ["bash", "-c"]:
        command = shlex.split(command[2].partition("&&")[0])

    assert command[0] == "vitrine"
    assert is_taken(command[1:], monkeypatch)


@pytest.mark.parametrize(
    ("evaluated", "rouge_l", "code"), [(0, (0.0, 1.0), 0), (0, (0.0, 0.1), 1), (0, (1.0, 1.0), 1), (2, (0.0, 1.0), 2)]
)
def test_the_last_service_ends_with_0_only_if_the_model_learnt(
    evaluated: int, rouge_l: tuple[float, float], code: int, tmp_path: Path
) -> None:
    run = tmp_path / "demo"
    run.mkdir()
    write_evaluation(run, seen=rouge_l, unseen=(0.1, 0.1))
    script = command_on_this_machine("evaluate")[2].replace("/work/demo", str(run))
    # In place of ours: a command that only ends as it is told, and the Python of the tests.
    functions = f'vitrine() {{ return {evaluated}; }}; python() {{ {shlex.quote(sys.executable)} "$@"; }}\n'

    result = subprocess.run(
        ["bash", "-c", functions + script],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == code
    assert ("did NOT learn" in result.stderr) == (code == 1), result.stderr


def command_on_this_machine(name: str) -> list[str]:
    """What a service runs, with the paths of this machine in place of those mounted in its container."""
    service = COMPOSE["services"][name]
    command = list(service["command"])
    for text in service["volumes"]:
        outside, inside, *_ = text.split(":")
        if outside.startswith("./"):
            command = [re.sub(rf"(?<=[= ]){inside}/", f"{ROOT / outside}/", argument) for argument in command]
    return command


def is_taken(argv: list[str], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether our command line takes these arguments with these settings; what they ask for is not done."""
    command = cli.COMMANDS[argv[0]]
    monkeypatch.setitem(cli.COMMANDS, argv[0], dataclasses.replace(command, run=lambda *_: 0))
    return cli.main(argv) == 0


def test_the_training_job_runs_a_command_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    script = TRAIN_JOB["spec"]["template"]["spec"]["containers"][0]["args"][0].replace("\\\n", "")
    command = next(line for line in script.splitlines() if line.startswith("exec vitrine "))

    assert is_taken(shlex.split(command.replace("${resume-}", ""))[2:], monkeypatch)


def test_the_spark_application_runs_a_command_of_ours() -> None:
    spec = SPARK_APPLICATION["spec"]
    application = spec["mainApplicationFile"].partition("/site-packages/")[2]

    assert (ROOT / application).is_file()
    assert parse_settings(PrepareConfig, spec["arguments"], prog=application, description="").master.startswith(
        "k8s://"
    )
