"""The catalogue that compose.yaml puts into its store: what hinders it is said in one line."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_store_that_refuses_is_told_in_one_line_with_code_2(tmp_path: Path) -> None:
    environment = {name: text for name, text in os.environ.items() if not name.startswith("AWS_")}
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "AWS_EC2_METADATA_DISABLED": "true"}

    result = subprocess.run(
        [sys.executable, str(ROOT / "deploy" / "catalogue.py"), "README.md", "s3://bucket/catalogue.json"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 2
    assert result.stderr.startswith("error: cannot put README.md to s3://bucket/catalogue.json: Unable to locate cred")
    assert len(result.stderr.splitlines()) == 1
