"""The database that business intelligence reads: a real PostgreSQL, one for each local cloud."""
