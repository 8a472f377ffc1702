"""The data card: the lines read, rejected and kept, as a page and as JSON.

Nothing is counted here; that belongs to spark_jobs.counts.
"""
