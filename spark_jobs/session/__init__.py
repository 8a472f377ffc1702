"""Starting, watching and stopping Spark: all that is true only of pyspark 4.3 stays in this package.

Nothing here knows what a preparation does. To try with pyspark 4.4, and to delete if it is no longer needed:
- launcher: passes what the launcher of Spark 4.3 passes to Java, and runs find_spark_home.py and version.py alone.
- gateway.wait_for_java: sets the variables by which spark-submit is found.
- gateway.ended_on_interrupt: replaces java_gateway.Popen, to end Java that has not answered yet.
- gateway.stop_quickly: leaves the server of accumulators behind, whose end takes pyspark up to a second and a half.
- gateway._handle_until_java_ends: replaces UpdateRequestHandler.handle, which prints a traceback.
- session._get_or_create: restores the handler of SIGINT, and silences py4j.
- session._builder: hides the warning about pandas 3.
- cluster.submitted_to, cluster.wait_for_executor: use SparkContext._ensure_initialized and _jsc; no public call exists.
- daemon: serves workers from a process that has imported everything, on one machine a copy of the driver; pyspark's own
  starts each from a zip file.
- failures: the patterns are the texts of Spark 4.3.
"""
