"""Ends with 1 if the model of a demo's run did not learn the catalogue, by its evaluation: check_demo.py RUN."""

import sys
from pathlib import Path

from launch.demo import judge, seen_scores

has_learned, verdict = judge(*seen_scores(Path(sys.argv[1])))
if not has_learned:
    sys.exit(verdict)
