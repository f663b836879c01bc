"""Validation of a drop by Spark: `landfall.validation` in many tasks at once.

scan        the file to records: lines of blocks, or rows of Parquet, validated in tasks
outcome     what the tasks found to rejects, reasons, accepted records and result document
"""
