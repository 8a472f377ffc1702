"""Files that are one document with many records: JSON arrays, objects that hold a list, XML feeds.

Files of lines and tables are read next door, in spark_jobs.input.
"""
