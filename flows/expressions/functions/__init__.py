"""The fixed table of functions. All are pure."""

from flows.expressions.functions import codecs, lists, numbers, objects, patterns, text, time
from flows.expressions.table import FUNCTIONS, METHODS

__all__ = ["FUNCTIONS", "METHODS", "codecs", "lists", "numbers", "objects", "patterns", "text", "time"]
