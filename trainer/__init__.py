"""Shards to an adapter to answers: streaming, 4-bit LoRA training on Accelerate, evaluation. No pyspark."""

import logging

# On a CPU, bitsandbytes 0.50 warns at every import that an optional kernel package is not installed.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
