"""Programs that pass for Java, and the real ones of this machine."""

from pathlib import Path


def fake_java(folder: Path, output: str, code: int = 0) -> str:
    """A `java` that lists these modules."""
    path = folder / "bin" / "java"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{output}\nEND\nexit {code}\n")
    path.chmod(0o755)
    return str(path)


def real_javas() -> list[str]:
    """The Java of each folder where Debian and the like install them, newest first: one for each version."""
    found = {path.resolve().parent.parent: str(path) for path in sorted(Path("/usr/lib/jvm").glob("*/bin/java"))}
    return sorted(found.values(), reverse=True)
