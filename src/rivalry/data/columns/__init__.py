"""Columns of tables: compact cells, what they mean (detection, schema), and how networks see them (codes)."""
