"""Starting, watching and stopping Spark: what is true only of pyspark 4.3 stays in this package.

Nothing here knows what a preparation does.
"""
