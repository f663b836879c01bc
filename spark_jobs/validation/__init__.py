"""Validation of a drop by Spark: the same verdict, row by row, as the service's own engine gives.

The checks come as a JSON document, the plan; nothing here knows what a contract is. Pure modules
cut records and validate them, on lists of bytes; `scan` and `outcome` put them to work on
DataFrames.

    plan        the document, read exactly or refused
    cells       one cell: of its type, and within what is asked of a value
    conditions  one record: SQL's three truths
    blocks      where the records of a block of lines begin, whatever block comes before it
    records     the text of a record to its cells
    validate       records to faults and keys
    tally       what is counted over all of them, mergeable
"""
