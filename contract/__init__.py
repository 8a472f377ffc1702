"""What preparation and training agree on: columns, manifest, storage, text. No pyspark, no torch."""
