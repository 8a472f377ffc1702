"""Ends with 1 if the model of a demo's run did not learn the catalogue, by its evaluation: check_demo.py RUN."""

import sys
from pathlib import Path

from launch.demo import judge

failures, verdict = judge(Path(sys.argv[1]))
if failures:
    sys.exit(verdict)
