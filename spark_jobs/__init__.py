"""The preparation: a raw catalogue of JSON lines becomes the contract's data set, by Apache Spark."""
