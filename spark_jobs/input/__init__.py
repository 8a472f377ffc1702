"""From the bytes of a catalogue in any format to batches of fields.

Nothing here cleans or rejects for its content; that is spark_jobs.rows.
"""
