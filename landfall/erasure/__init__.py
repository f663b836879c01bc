"""Erasure of one subject from files: which records are the subject's, and the files without them.

Pure but for the streams that it is given. The service says which files; `spark_jobs.forget` does
the same for the Delta tables.
"""
