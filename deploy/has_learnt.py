"""Ends with 1 unless a run of the demo has learnt its catalogue, as `vitrine evaluate` found: has_learnt.py RUN."""

import sys
from pathlib import Path

from launch.demo import judge, seen_scores

has_learnt, verdict = judge(*seen_scores(Path(sys.argv[1])))
if not has_learnt:
    sys.exit(verdict)
