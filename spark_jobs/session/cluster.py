"""Only for clusters: the master is checked, the first executor is waited for, and code is sent to the workers.

Workers get this project's code and the settings of object stores. Third-party packages are installed there, or sent in
an archive.
"""

import os
import socket
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

from contract.errors import UserError

_ROOT: Final = Path(__file__).resolve().parents[2]
_PACKAGES: Final = ("command", "contract", "spark_jobs")
# Not the variables that name a file, a profile or a role: each machine has its own.
_OF_STORES: Final = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"),
    *("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"),
)
_PREFIXES_OF_STORES: Final = ("FSSPEC_", "AZURE_STORAGE_")
_WAIT_S: Final = 20
_WAITS: Final = (
    f"no executor has begun for {_WAIT_S} s, and Spark goes on waiting: the cluster may be busy or have no room for"
    " spark.executor.memory and spark.executor.cores, or its machines cannot reach this one (spark.driver.host)"
)
_UNPACKED: Final = "vitrine-environment"
_REACH_WITHIN_S: Final = 10.0


def require_master(master: str) -> None:
    """UserError where the cluster's address is unknown or nobody answers there; Spark would try for a minute."""
    if master == "yarn" and not (os.environ.get("HADOOP_CONF_DIR") or os.environ.get("YARN_CONF_DIR")):
        raise UserError(
            "master = 'yarn' needs HADOOP_CONF_DIR or YARN_CONF_DIR, the folder of the cluster's configuration, and"
            " neither is set; set one, or choose another master such as local[*]"
        )
    if not master.startswith("spark://"):
        return
    problems = []
    for address in master.removeprefix("spark://").split(","):
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH_WITHIN_S).close()
            return
        except OSError as error:
            problems.append(f"{address}: {error.strerror or error}")
    raise UserError(
        f"no Spark master answers at {master} ({'; '.join(problems)});"
        " start it, correct the address, or choose another master such as local[*]"
    )


def submitted_to(asked: str) -> str:
    """The master that spark-submit was given; it has already started Java."""
    SparkContext._ensure_initialized()
    master = SparkConf().get("spark.master", asked) or asked
    if asked not in (master, "local[*]"):
        print(f"spark-submit runs this on {master}; --on {asked} changes nothing", file=sys.stderr)
    return master


def wait_for_executor(spark: SparkSession) -> None:
    """Waits for the first executor, since the number of cores decides how the work is divided; at most _WAIT_S."""
    context = spark.sparkContext
    if context.getConf().get("spark.dynamicAllocation.enabled") == "true":  # then executors start when there is work
        return
    # pyspark's own status tracker does not know executors. The driver counts as one.
    tracker, end = context._jsc.sc().statusTracker(), time.monotonic() + _WAIT_S
    while len(tracker.getExecutorInfos()) < 2:
        if time.monotonic() > end:
            print(_WAITS, file=sys.stderr, flush=True)
            return
        time.sleep(0.2)


def settings_of_environment(archive: str) -> dict[str, str]:
    """Settings by which workers unpack the archive and import packages from it; UserError where the file is missing."""
    if "://" not in archive and not os.path.isfile(archive):
        raise UserError(f"environment = {archive!r}, and there is no such file; docs/cluster.md shows how to make one")
    return {"spark.archives": f"{archive}#{_UNPACKED}", "spark.executorEnv.PYTHONPATH": _UNPACKED}


@contextmanager
def shipping(context: SparkContext) -> Iterator[None]:
    """While the body runs, Python workers have this process's code and its settings of object stores.

    The settings hold secrets. So they travel with the tasks' functions, not in Spark's configuration, which is shown on
    Spark's pages and in its logs.
    """
    context.environment.update(environment_of_stores())
    with TemporaryDirectory(prefix="vitrine-") as folder:
        context.addPyFile(str(pack_code(Path(folder))))
        yield


def environment_of_stores() -> dict[str, str]:
    """Credentials, endpoints and options of object stores in the environment of this process."""
    return {
        name: value for name, value in os.environ.items() if name in _OF_STORES or name.startswith(_PREFIXES_OF_STORES)
    }


def pack_code(folder: Path) -> Path:
    """A zip file of the packages that tasks import, as `spark-submit --py-files` takes it."""
    archive = folder / "vitrine.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for package in _PACKAGES:
            for path in sorted((_ROOT / package).rglob("*.py")):
                file.write(path, path.relative_to(_ROOT))
    return archive
