"""Near duplicates, an optional step of preparation: found exactly, whatever the number of tasks.

Exact duplicates belong to spark_jobs.buckets.
"""
