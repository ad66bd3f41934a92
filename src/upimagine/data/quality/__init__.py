"""Measures of single pictures, one a file: each gives a number in units of its own, or None where it says nothing.

They are functions of plain arrays. ``look`` makes the arrays, ``measures`` puts the measures together; what counts as
bad is not decided here but by the catalog's thresholds.
"""
