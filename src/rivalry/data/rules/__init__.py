"""Constraints on the rows of a table: what they say, how rows are made to meet them, and which the data suggest."""
