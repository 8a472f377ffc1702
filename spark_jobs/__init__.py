"""The preparation: a raw catalogue becomes a data set of shards with a manifest, on Apache Spark.

What the trainer or other tools must know of the data set, too, belongs to `contract`; training belongs to `trainer`.
"""
