"""The revisions, one tiny module for each directory of SQL."""
