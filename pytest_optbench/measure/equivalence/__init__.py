"""Equivalence: do two arms return the same, and if not, where exactly do their results differ?

`compare` is the default comparison, `check` runs every candidate against the baseline on fresh calls. Values
count as equal when Python's ``==`` would say so within one family of types (numbers, text, bytes, lists,
tuples, mappings, sets), with these rules beside it:

* floats and complex numbers agree within a relative 1e-9 or an absolute 1e-12; NaN equals NaN, at any depth;
* ``bool`` is a family of its own: ``True`` is not ``1``; ints and floats are one family, compared by value;
* members of sets and keys of mappings are matched exactly; the order of keys counts only between two
  ``OrderedDict``;
* arrays agree in shape and kind of dtype; floats narrower than float64 agree within 16 machine epsilons;
* pandas objects agree in labels, names, dtypes and values, Arrow data in types and values however chunked;
* dataclasses and attrs classes are walked field by field (fields marked as not compared are left out);
* other objects use their own ``==``, or, when they have none, the state they would be pickled with.

What cannot be compared (an iterator, a lock, an ``==`` that raises) is a difference that names the cure:
nothing passes unseen.
"""

from .check import check, difference_of
from .difference import Difference
from .walk import compare

__all__ = ["Difference", "check", "compare", "difference_of"]
