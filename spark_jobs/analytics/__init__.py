"""Customer segments, product recommendations and sales forecasts, from silver and gold.

The models are functions of pandas frames and import nothing of Spark; the tasks read and write.
"""
