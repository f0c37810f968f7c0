"""Rows for points in the plane, where the game can be watched."""
