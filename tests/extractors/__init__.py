"""Tests of feature spaces."""
