"""Ends with 1 unless a run of the demo has learnt its catalogue, as `vitrine evaluate` found: has_learnt.py RUN."""

import sys
from pathlib import Path

from launch.demo import LEAST_AFTER, MOST_BEFORE, seen_scores

before, after = seen_scores(Path(sys.argv[1]))
if after < LEAST_AFTER or before > MOST_BEFORE:
    sys.exit(
        f"The model did NOT learn the catalogue: ROUGE-L of seen titles {before:.3f} before (at most {MOST_BEFORE}),"
        f" {after:.3f} after (at least {LEAST_AFTER})"
    )
