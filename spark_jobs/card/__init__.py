"""The data card: what came in, what went and why, as a page and as JSON.

Counting belongs to spark_jobs.counts; here counts are put into words and pictures.
"""
