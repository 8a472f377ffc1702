"""Which files are read, how they are cut, and what is said of files that cannot be read."""

import gzip
import os
import re
from pathlib import Path

import pytest

from contract.errors import UserError
from contract.manifest import Source
from spark_jobs.input.fields import FieldNames, Part, ReadOptions
from spark_jobs.input.opening import open_source
from spark_jobs.input.parts import MAX_RANGE_BYTES, MAX_TASKS_A_FILE, plan_parts
from spark_jobs.input.source import list_sources
from tests.spark_jobs.input.outcomes import outcome_of

NAMES = FieldNames("uid", "title", "content")


def names(sources: tuple[Source, ...]) -> list[str]:
    return [Path(source.path).name for source in sources]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.json", "a.json", "_c.json", ".d.json", "sub/e.json"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"{}\n")
    return tmp_path


def listed(urls: str) -> tuple[list[str], list[str]]:
    """The names of the files, and what is told."""
    told: list[str] = []
    return names(list_sources(urls, tell=told.append)), told


def test_a_folder_is_its_files_without_hidden_ones_which_are_counted(folder: Path) -> None:
    found, told = listed(str(folder))
    assert found == ["a.json", "b.json", "e.json"]
    assert told == [
        f"passed over 2 file(s) in {folder} whose names begin with . or _: {folder}/.d.json, {folder}/_c.json"
    ]


def test_a_glob_is_the_files_it_matches_and_those_of_the_folders_it_matches(folder: Path) -> None:
    assert listed(f"{folder}/*.json")[0] == ["a.json", "b.json"]
    assert listed(f"{folder}/*")[0] == ["a.json", "b.json", "e.json"]
    assert len(listed(f"{folder}/*.json")[1]) == 1


def test_a_hidden_file_is_read_where_it_is_named(folder: Path) -> None:
    assert listed(f"{folder}/_c.json,{folder}/.d*") == ([".d.json", "_c.json"], [])
    hidden = folder / ".cache" / "_x"
    hidden.mkdir(parents=True)
    (hidden / "f.json").write_bytes(b"{}\n")
    assert listed(str(hidden)) == (["f.json"], [])


def test_only_hidden_files_are_no_data(folder: Path) -> None:
    (folder / "sub" / "e.json").rename(folder / "sub" / "_e.json")
    with pytest.raises(UserError, match=r"no data in .*sub: the names of all 1 file.*name it: .*sub/_e\.json"):
        list_sources(str(folder / "sub"))


def test_folders_of_partitions_are_data_and_folders_of_programs_are_not(folder: Path) -> None:
    for name in ("_day=7", "_temporary", ".ipynb_checkpoints", "category=Books"):
        (folder / "out" / name).mkdir(parents=True)
        (folder / "out" / name / f"{name}.json").write_bytes(b"{}\n")
    (folder / "out" / "_day=7" / "_day=7.json").rename(folder / "out" / "_day=7" / "part.json")
    assert listed(str(folder / "out"))[0] == ["part.json", "category=Books.json"]


def test_linked_folders_and_files_are_read_once_and_dangling_links_are_told(folder: Path) -> None:
    linking = folder / "linking"
    linking.mkdir()
    (linking / "files").symlink_to(folder / "sub")
    (linking / "again").symlink_to(folder / "sub")
    (linking / "up").symlink_to("..")
    (linking / "lost").symlink_to("nowhere")
    (linking / "f.json").symlink_to(folder / "a.json")
    found, told = listed(str(linking))
    assert found == ["e.json", "f.json"]
    assert told == [
        f"passed over 1 link(s) to files that do not exist: {linking}/lost",
        f"passed over 2 link(s) to folders that are read already or hold the link: {linking}/files, {linking}/up",
    ]
    assert sorted(listed(f"{linking}/f*")[0]) == ["e.json", "f.json"]


def test_the_time_of_a_linked_file_is_that_of_its_target(folder: Path) -> None:
    (folder / "sub" / "link.json").symlink_to(folder / "a.json")
    os.utime(folder / "a.json", (10**9, 10**9))
    (source,) = list_sources(str(folder / "sub" / "link.json"))
    assert source.modified.startswith("2001-09-09")


@pytest.mark.parametrize(
    ("glob", "found"),
    [
        ("{a,b}.json", ["a.json", "b.json"]),
        ("{a,sub/e}.json,%s/b.json", ["a.json", "b.json", "e.json"]),
        ("b.json,%s/{y,x}.j{so,}n", None),
        ("{sub,.}/{a,e}*", ["a.json", "e.json"]),
    ],
)
def test_braces_are_choices(folder: Path, glob: str, found: list[str] | None) -> None:
    urls = f"{folder}/{glob.replace('%s', str(folder))}"
    if found is None:
        with pytest.raises(UserError, match=r"no such input: .*y,x"):
            list_sources(urls)
        return
    assert sorted(Path(source.path).name for source in list_sources(urls)) == found


def test_a_name_may_hold_what_globs_are_made_of(folder: Path) -> None:
    odd = folder / "odd::names"
    odd.mkdir()
    (odd / "a::b.json").write_bytes(b"{}\n")
    (odd / "{x,y}.json").write_bytes(b"{}\n")
    assert listed(str(odd))[0] == ["a::b.json", "{x,y}.json"]
    assert listed(f"{odd}/a::b.json")[0] == ["a::b.json"]
    assert listed(f"{odd}/{{x,y}}.json")[0] == ["{x,y}.json"]


def test_a_source_tells_path_size_and_time(folder: Path) -> None:
    (source,) = list_sources(str(folder / "_c.json"))
    assert (source.path, source.bytes) == (str(folder / "_c.json"), 3)
    assert source.modified.startswith("20")


def test_no_such_file_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no such input: .*nothing\.json"):
        list_sources(str(tmp_path / "nothing.json"))


def test_a_data_set_is_no_catalogue(folder: Path) -> None:
    (folder / "sub" / "manifest.json").write_text("{}")
    with pytest.raises(UserError, match=r"holds a prepared data set: .*sub/manifest\.json"):
        list_sources(str(folder))


def test_an_empty_input_is_the_users_error(tmp_path: Path) -> None:
    (tmp_path / "a.json").touch()
    with pytest.raises(UserError, match=r"the input is empty: .*a\.json"):
        list_sources(str(tmp_path / "a.json"))


def test_credentials_in_a_url_stay_out_of_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec  # the memory file system stands in for a server that takes a password

    filesystem = fsspec.filesystem("memory")
    filesystem.pipe_file("/x.json", b"{}")
    monkeypatch.setattr(type(filesystem), "unstrip_protocol", lambda _, path: f"sftp://me:secret@host{path}")
    (source,) = list_sources("memory://x.json")
    assert source.path == "sftp://host/x.json"


@pytest.mark.parametrize("num_bytes", [1, 2**20, 2**20 + 1, 10 * 2**20, 3 * MAX_RANGE_BYTES + 7])
@pytest.mark.parametrize("parallelism", [1, 2, 64])
def test_parts_cover_each_byte_once(num_bytes: int, parallelism: int) -> None:
    sources = [Source("a", num_bytes, ""), Source("c", 0, ""), Source("d.parquet", 10, "")]
    parts = plan_parts(sources, parallelism=parallelism, options=ReadOptions(NAMES, max_line_bytes=100))
    of_first = [part for part in parts if part.source == 0]
    assert [part.start for part in of_first] == [0, *(part.end for part in of_first[:-1])]
    assert of_first[-1].end == num_bytes
    assert all(part.end is not None and part.end - part.start <= MAX_RANGE_BYTES for part in of_first)
    assert [part for part in parts if part.source] == [Part(2, 0, 10)]


@pytest.mark.parametrize("name", ["a.json.gz", "a.zst", "a.csv", "a.csv.bz2", "a.tsv"])
@pytest.mark.parametrize("num_files", [1, 2, 3, 7])
@pytest.mark.parametrize("parallelism", [1, 2, 5, 64])
@pytest.mark.parametrize("max_line_bytes", [10, 100 * 2**20])
def test_files_that_cannot_be_cut_are_shared_by_blocks(
    name: str, num_files: int, parallelism: int, max_line_bytes: int
) -> None:
    sources = [Source(f"{number}{name}", 5, "") for number in range(num_files)]
    parts = plan_parts(sources, parallelism=parallelism, options=ReadOptions(NAMES, max_line_bytes))
    assert len(parts) >= min(parallelism, num_files * MAX_TASKS_A_FILE)
    for number in range(num_files):
        of_file = [part for part in parts if part.source == number]
        if len(of_file) == 1:
            assert of_file == [Part(number, 0, None)]
            continue
        block = of_file[1].start
        assert "csv" in name or "tsv" in name or block >= 2 * max_line_bytes
        for index, part in enumerate(of_file):
            assert part == Part(number, index * block, (index + 1) * block, every=len(of_file) * block)


def test_several_paths_have_commas_between_them(folder: Path) -> None:
    assert names(list_sources(f"{folder}/b.json,{folder}/*.json,{folder}/sub")) == ["a.json", "b.json", "e.json"]
    (folder / "x,y.json").write_bytes(b"{}")
    assert names(list_sources(f"{folder}/x,y.json")) == ["x,y.json"]
    with pytest.raises(UserError, match=r"no such input: .*nothing"):
        list_sources(f"{folder}/a.json,{folder}/nothing")


def test_members_of_a_gzip_file_are_read_one_after_the_other(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"one\ntw") + gzip.compress(b"o\nthree"))
    (source,) = list_sources(str(tmp_path / "a.gz"))
    with open_source(source) as file:
        assert file.read(1_000) == b"one\ntwo\nthree"


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: data[:50] + b"XXXX" + data[54:]])
def test_a_damaged_gzip_file_is_named(tmp_path: Path, damage: object) -> None:
    whole = gzip.compress(bytes(range(256)) * 20)
    (tmp_path / "a.json.gz").write_bytes(damage(whole))  # type: ignore[operator]
    (source,) = list_sources(str(tmp_path / "a.json.gz"))
    with pytest.raises(UserError, match=r"a\.json\.gz is not a whole gzip file"), open_source(source) as file:
        file.seek(10**6)


def test_gzip_under_another_name_is_not_read_as_text(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(gzip.compress(b"{}\n"))
    (source,) = list_sources(str(tmp_path / "a.json"))
    with pytest.raises(UserError, match=r"a\.json is compressed by gzip"), open_source(source):
        pass


def test_a_file_that_changed_since_it_was_listed_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"{}\n")
    (source,) = list_sources(str(tmp_path / "a.json"))
    (tmp_path / "a.json").write_bytes(b"{}\n{}\n")
    with (
        pytest.raises(UserError, match=r"a\.json changed while it was read: 3 bytes at first, 6 now"),
        open_source(source),
    ):
        pass


@pytest.mark.parametrize("name", ["in.json", "*.json", ""])
def test_a_folder_that_may_not_be_opened_is_no_missing_input(tmp_path: Path, name: str) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "in.json").write_text("{}")
    closed.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may open anything
    try:
        with pytest.raises(UserError, match=r"not allowed to read .*: the folder \S+ is closed to this user"):
            list_sources(str(closed / name))
    finally:
        os.seteuid(user)
        closed.chmod(0o700)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.json.gz", b'{"title": "x"}\n', "is not compressed, but its name ends in .gz; rename it without .gz"),
        ("a.json.gz", b"\x28\xb5\x2f\xfd rest", "is compressed by zstd, but its name does not end in .zst; rename it"),
        ("a.csv", "id,title\n1,Oak\n".encode("utf-16-le"), "looks like utf-16-le without a byte order mark: add --enc"),
        ("a.json", '{"title": "Oak"}\n'.encode("utf-16-be"), "looks like utf-16-be without a byte order mark: add"),
        ("a.csv", b"\n\r\n\n", "is empty, or holds only line ends; expected the names of its columns"),
    ],
)
def test_what_a_file_is_in_truth_is_said_with_what_to_do(name: str, data: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=re.escape(f"{tmp_path / name} {said}")):
        outcome_of(tmp_path / name)


def test_a_pipe_is_said_to_be_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(UserError, match="is a pipe or a device, which can be read only once"):
        list_sources(str(tmp_path / "pipe.json"))
