"""Preparation from and to a real object store: the same data set, or one line that says what is wrong."""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contract import storage
from contract.manifest import Manifest, from_json
from contract.names import MANIFEST_NAME
from tests.cluster.conftest import SETTINGS
from tests.cluster.standalone import submit
from tests.cluster.store import BUCKET, Keys, Store
from tests.spark_jobs.processes import KILLS
from tests.trainer.shards.faulty_s3 import FaultyS3, forget_stores, only, rates, stumbling

pytestmark = pytest.mark.s3

INPUT = f"s3a://{BUCKET}/raw/in.json"


@pytest.fixture(name="proxy")
def _proxy(store: Store) -> Iterator[FaultyS3]:
    host, _, port = store.url.removeprefix("http://").partition(":")
    with stumbling(host, int(port)) as proxy:
        yield proxy


def published(store: Store, folder: str) -> Manifest:
    return from_json(store.client().cat_file(f"{BUCKET}/{folder}/{MANIFEST_NAME}"))


def test_from_s3a_to_s3_it_is_the_same_data_set(store: Store, expected: Manifest, tmp_path: Path) -> None:
    arguments = ["--input", INPUT, "--output", f"s3://{BUCKET}/plain", "--on", "local[2]", *SETTINGS]
    with submit(arguments, tmp_path / "log", environment=store.environment()) as job:
        assert job.wait() == 0, job.said()
    manifest = published(store, "plain")
    assert (manifest.dataset_id, manifest.rows) == (expected.dataset_id, expected.rows)
    names = {path.removeprefix(f"{BUCKET}/plain/") for path in store.client().find(f"{BUCKET}/plain")}
    assert names == {*manifest.files(), "card.html", "card.json"}
    with submit(arguments, tmp_path / "log", environment=store.environment()) as again:
        assert again.wait() == 0
    assert "nothing to do" in again.said()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(KILLS))
def test_a_store_that_is_busy_or_loses_answers_changes_nothing(
    store: Store, proxy: FaultyS3, expected: Manifest, tmp_path: Path, number: int
) -> None:
    proxy.begin(rates(number, status_503=0.1, lost=0.02, reset=0.02))
    output = f"stumbling-{number}"
    arguments = ["--input", INPUT, "--output", f"s3://{BUCKET}/{output}", "--on", "local[2]", *SETTINGS]
    with submit(arguments, tmp_path / "log", environment=store.environment(url=proxy.url)) as job:
        assert job.wait() == 0, job.said()
    assert published(store, output).dataset_id == expected.dataset_id
    assert proxy.count("503") > 0


NO_WAY: dict[str, tuple[Callable[[Store], dict[str, str]], str]] = {
    "a key that nobody has": (lambda store: store.environment(Keys()), "Access Key Id you provided does not exist"),
    "another secret": (
        lambda store: store.environment(Keys(store.owner.key)),
        "signature we calculated does not match",
    ),
    "no right to write": (lambda store: store.environment(store.add_reader()), "cannot write to s3://.*Access Denied"),
    "nobody there": (
        lambda store: store.environment(url="http://127.0.0.1:1"),
        "Could not connect to the endpoint URL",
    ),
    "no such host": (lambda store: store.environment(url="http://store.invalid"), "Could not connect to the endpoint"),
    "no credentials": (
        lambda store: {name: text for name, text in store.environment().items() if "KEY" not in name},
        "Unable to locate credentials; give credentials in a usual place: AWS_ACCESS_KEY_ID",
    ),
}


@pytest.mark.parametrize("reason", NO_WAY)
def test_who_is_not_let_in_is_told_so_in_a_line(store: Store, tmp_path: Path, reason: str) -> None:
    environment, told = NO_WAY[reason]
    check_refusal(told, environment(store), tmp_path)


def check_refusal(
    told: str, environment: dict[str, str], folder: Path, *, input: str = INPUT, output: str = f"s3://{BUCKET}/refused"
) -> None:
    began = time.monotonic()
    arguments = ["--input", input, "--output", output, "--on", "local[2]"]
    with submit(arguments, folder / "log", environment={"HOME": str(folder), **environment}) as job:
        assert job.wait() == 2
    assert time.monotonic() - began < 30
    (line,) = job.said()
    assert re.search(told, line), line


@pytest.mark.parametrize(
    ("input", "output"),
    [("s3://no-such-bucket/in.json", f"s3://{BUCKET}/refused"), (INPUT, "s3://no-such-bucket/out")],
)
def test_a_bucket_that_does_not_exist_is_named(store: Store, tmp_path: Path, input: str, output: str) -> None:
    check_refusal("there is no bucket no-such-bucket", store.environment(), tmp_path, input=input, output=output)


def test_an_endpoint_that_takes_calls_and_says_nothing_is_given_up(store: Store, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        check_refusal("timeout", store.environment(url=url), tmp_path)


@pytest.mark.parametrize("is_replaced", [False, True])
@pytest.mark.usefixtures("as_owner")
def test_of_many_who_publish_at_once_one_wins(is_replaced: bool) -> None:
    url, won = f"s3://{BUCKET}/race-{is_replaced}/manifest.json", []
    if is_replaced:
        storage.write_bytes(url, b"the one that all have found")
    version, barrier = storage.version_of(url), threading.Barrier(8)

    def write(number: int) -> None:
        barrier.wait()
        try:
            storage.write_bytes(url, b"%d" % number, replace=is_replaced, version=version)
            won.append(number)
        except FileExistsError:
            pass

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [b"%d" % number for number in won] == [storage.read_bytes(url)]


@pytest.mark.usefixtures("as_owner")
def test_a_write_whose_answer_is_lost_is_not_taken_for_another_s(
    proxy: FaultyS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    forget_stores()
    proxy.begin(only("lost"))
    url = f"s3://{BUCKET}/lost/manifest.json"

    storage.write_bytes(url, b"ours", replace=False)

    assert proxy.count("lost") == 1
    assert storage.read_bytes(url) == b"ours"
    with pytest.raises(FileExistsError):
        storage.write_bytes(url, b"theirs", replace=False)
