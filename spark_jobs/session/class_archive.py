"""An archive of the classes of Spark, from which Java loads them: it starts in half the time."""

import hashlib
import os
import runpy
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

_QUIET: Final = ("-Xlog:disable", "-Xlog:all=error:stderr")


def class_archive(java: str, *, pyspark: Path, options: Sequence[str] = ()) -> list[str]:
    """Options by which this Java, started with these `options`, uses an archive in the user's cache folder.

    `pyspark` is the folder of that package, which is not imported: that takes a tenth of a second.
    The first run writes the archive when it ends: 160 MB. Java itself checks that an archive is whole and holds the
    same classes, and ignores any other.
    """
    home = Path(java).resolve().parent.parent
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vitrine"
    try:
        version = runpy.run_path(str(pyspark / "version.py"))["__version__"]
        identity = "\n".join([(home / "release").read_text(), version, str(pyspark / "__init__.py"), *options])
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        return []
    name = hashlib.sha256(identity.encode()).hexdigest()[:16]
    archive = folder / f"spark-{name}.jsa"
    if archive.exists():
        return [f"-XX:SharedArchiveFile={archive}", *_QUIET]
    write = [f"-XX:ArchiveClassesAtExit={archive}", *_QUIET]
    if (home / "lib" / "server" / "classes.jsa").exists():
        return write
    own = folder / f"java-{name}.jsa"  # a trimmed Java comes without the archive of its own classes, the base of ours
    return [f"-XX:SharedArchiveFile={own}", *write] if own.exists() or _write_own(java, own) else []


def _write_own(java: str, archive: Path) -> bool:
    """Whether Java could write the archive of its own classes there; takes a second or two, once."""
    with tempfile.TemporaryDirectory(prefix=".archive-", dir=archive.parent) as folder:
        made = Path(folder, archive.name)
        command = [java, "-Xshare:dump", f"-XX:SharedArchiveFile={made}", "-XX:+UseSerialGC", *_QUIET]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True)
        with suppress(OSError):
            if done.returncode == 0:
                made.replace(archive)
                return True
    return False
