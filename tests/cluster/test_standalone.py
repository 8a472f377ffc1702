"""A real Spark cluster: the same data set as on one machine, whatever befalls its workers, or one clear line."""

import random
import sys
import tarfile
import time
import urllib.request
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import pytest

from contract.manifest import Manifest, from_json
from contract.names import MANIFEST_NAME, STAGING_PREFIX
from tests.cluster.catching import STAGES, applications, catch, is_run_again
from tests.cluster.conftest import SETTINGS
from tests.cluster.standalone import ROOT, SITE_PACKAGES, SPARK_HOME, Cluster, Job, bare_python, submit
from tests.cluster.store import BUCKET, Store, free_port
from tests.spark_jobs.processes import KILLS
from tests.trainer.shards.faulty_s3 import rates, stumbling

pytestmark = [pytest.mark.cluster, pytest.mark.s3, pytest.mark.slow]

INPUT: Final = f"s3a://{BUCKET}/raw/in.json"
MEMORY: Final = "--conf=spark.executor.memory=1g"
# What a preparation without object stores imports.
_PACKAGES: Final = (
    *("pyarrow", "numpy", "numpy.libs", "pandas", "dateutil", "six.py"),
    *("msgspec", "isal", "ftfy", "wcwidth", "fsspec"),
)
_NOT_NEEDED: Final = {"tests", "include"}


def send(
    cluster: Cluster, store: Store, output: str, log: Path, *, url: str | None = None
) -> AbstractContextManager[Job]:
    """A preparation on workers that have third-party packages, from store to store."""
    arguments = ["--input", INPUT, "--output", f"s3://{BUCKET}/{output}", "--on", cluster.master, *SETTINGS]
    return submit(
        [*arguments, MEMORY, *bare_python()],
        log,
        environment=store.environment(url=url),
        address=cluster.network.address,
    )


def published(store: Store, output: str) -> Manifest | None:
    client, path = store.client(), f"{BUCKET}/{output}/{MANIFEST_NAME}"
    return from_json(client.cat_file(path)) if client.exists(path) else None


def check_outcome(job: Job, store: Store, output: str, expected: Manifest) -> bool:
    """Asserts that it has made the very data set, or none and said why; whether it has made it."""
    code, manifest = job.wait(300), published(store, output)
    if code == 0:
        assert manifest is not None
        assert (manifest.dataset_id, manifest.rows) == (expected.dataset_id, expected.rows)
        return True
    assert (code, manifest) == (2, None), job.said()
    assert job.said()[-1].startswith("error: "), job.said()
    return False


_MORE: Final = pytest.mark.skipif(KILLS == 1, reason="a minute each, with VITRINE_KILLS=10")


@pytest.mark.parametrize("number", range(KILLS))
@pytest.mark.parametrize("stage", STAGES if KILLS > 1 else ["staging"])
def test_a_killed_worker_changes_nothing(
    standalone: Cluster, store: Store, expected: Manifest, tmp_path: Path, stage: str, number: int
) -> None:
    output, known = f"killed-{stage}-{number}", applications(standalone)
    with send(standalone, store, output, tmp_path / "log") as job:
        caught = catch(job, stage, standalone, known=known, after=draw_place(stage, number))
        check_stage(stage, store, output)
        caught.worker.kill()

        assert check_outcome(job, store, output, expected), job.said()
    assert is_run_again(caught, stage, standalone), caught


def check_stage(stage: str, store: Store, output: str) -> None:
    """Asserts that what lies in the store is what lies there in this stage."""
    names = store.client().find(f"{BUCKET}/{output}")
    has_staged = any(STAGING_PREFIX in name and not name.endswith("/probe") for name in names)
    has_shards = any("/part-" in name for name in names)
    possible = {
        "reading": {(False, False)},
        "staging": {(False, False), (True, False)},
        "writing": {(True, False), (True, True)},
    }
    assert (has_staged, has_shards) in possible[stage], (stage, names)


def draw_place(stage: str, number: int) -> int:
    """After how many of the stage's tasks; some are left."""
    return random.Random(number).randrange({"reading": 3, "staging": 8, "writing": 16}[stage])


@_MORE
@pytest.mark.usefixtures("can_be_cut")
@pytest.mark.parametrize("number", range(KILLS))
def test_a_worker_that_is_cut_off_for_a_while_changes_nothing(
    standalone: Cluster, store: Store, expected: Manifest, tmp_path: Path, number: int
) -> None:
    stage, output, known = STAGES[number % 3], f"cut-{number}", applications(standalone)
    with send(standalone, store, output, tmp_path / "log") as job:
        caught = catch(job, stage, standalone, known=known, after=draw_place(stage, number))
        check_stage(stage, store, output)
        caught.worker.machine.cut()
        caught.go_on()
        time.sleep(30)
        assert job.process.poll() is None, "nobody missed it"
        caught.worker.machine.mend()

        assert check_outcome(job, store, output, expected), job.said()


@_MORE
@pytest.mark.parametrize("number", range(KILLS))
def test_a_busy_store_changes_nothing(
    standalone: Cluster, store: Store, expected: Manifest, tmp_path: Path, number: int
) -> None:
    host, _, port = store.url.removeprefix("http://").partition(":")
    output = f"busy-{number}"
    with stumbling(host, int(port)) as proxy:
        proxy.begin(rates(number, status_503=0.1))
        with send(standalone, store, output, tmp_path / "log", url=proxy.url) as job:
            assert check_outcome(job, store, output, expected), job.said()
        assert proxy.count("503") > 0


def test_submitted_by_spark_it_is_the_same_and_secrets_are_shown_nowhere(
    standalone: Cluster, store: Store, expected: Manifest, tmp_path: Path
) -> None:
    """Nor on Spark's pages, in its event log, in the logs of its workers, or in anything that is written."""
    events, port = tmp_path / "events", free_port(standalone.network.address)
    events.mkdir()
    conf = [f"--conf=spark.ui.port={port}", "--conf=spark.eventLog.enabled=true"]
    conf += [f"--conf=spark.eventLog.dir={events.as_uri()}", "--conf=spark.eventLog.compress=false"]
    conf += [f"--conf=spark.pyspark.driver.python={sys.executable}", MEMORY, *bare_python()]
    command = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", standalone.master, *conf]
    command += [str(ROOT / "spark_jobs" / "prepare.py"), "--input", INPUT]
    command += ["--output", f"s3://{BUCKET}/submitted", *SETTINGS]
    address = standalone.network.address
    with submit((), tmp_path / "log", environment=store.environment(), address=address, command=command) as job:
        pages = read_pages(f"http://{address}:{port}", job)
        assert job.wait() == 0, job.said()

    assert published(store, "submitted").dataset_id == expected.dataset_id
    assert "spark.executor.memory" in pages
    assert "fs.s3a.secret.key" in pages  # Spark takes it up of itself, and hides it
    written = [store.client().cat_file(path) for path in store.client().find(f"{BUCKET}/submitted")]
    logs = [path.read_bytes() for folder in (events, standalone.folder) for path in folder.rglob("*") if path.is_file()]
    assert len(logs) >= 6  # an event log, the daemons', and both executors'
    for place in (pages.encode(), (tmp_path / "log").read_bytes(), *logs, *written):
        assert store.owner.secret.encode() not in place
        assert store.owner.key.encode() not in place


def read_pages(url: str, job: Job) -> str:
    """Spark's own pages and answers while the job runs."""
    said: dict[str, str] = {}
    while job.process.poll() is None:
        try:
            applications = urllib.request.urlopen(f"{url}/api/v1/applications", timeout=5).read().decode()
            name = applications.partition('"id" : "')[2].partition('"')[0]
            for place in ("environment", "sql?details=true", "jobs", "stages?details=true", "allexecutors"):
                said[place] = urllib.request.urlopen(f"{url}/api/v1/applications/{name}/{place}").read().decode()
            said["page"] = urllib.request.urlopen(f"{url}/environment/").read().decode()
        except OSError:  # not yet, or no more
            pass
        time.sleep(1)
    assert len(said) == 6, job.said()
    return "\n".join(said.values())


def test_packages_travel_with_the_job_to_workers_that_have_none(
    standalone: Cluster, source: Path, expected: Manifest, tmp_path: Path
) -> None:
    archive = tmp_path / "environment.tar"
    with tarfile.open(archive, "w") as file:
        for name in _PACKAGES:
            if (SITE_PACKAGES / name).exists():
                file.add(
                    SITE_PACKAGES / name,
                    name,
                    filter=lambda member: None if _NOT_NEEDED & {*Path(member.name).parts} else member,
                )
    python, _ = bare_python()
    arguments = ["--input", str(source), "--output", str(tmp_path / "out"), "--on", standalone.master, *SETTINGS]
    arguments += [python, MEMORY]
    address = standalone.network.address

    once = [*arguments, "--conf=spark.task.maxFailures=1"]
    with submit(once, tmp_path / "bare", environment={}, address=address) as bare:
        assert bare.wait() == 2
    assert "the cluster's workers have no Python package" in bare.said()[-1]
    whole = [*arguments, "--environment", str(archive)]
    with submit(whole, tmp_path / "log", environment={}, address=address) as job:
        assert job.wait() == 0, job.said()
    assert from_json((tmp_path / "out" / MANIFEST_NAME).read_bytes()).dataset_id == expected.dataset_id
