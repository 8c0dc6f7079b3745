"""The child of a measuring run: a pytest session that runs benchmarks one at a time, sample by sample, when told to.

    driver (measure.process)              child (this package)
    collect ----------------------------> collected: which benchmarks there are
    run <node id> ----------------------> the test runs, with its fixtures, until its timed region:
                              at <------- blocked in front of it, called once untimed
    sample <loops> ---------------------> reading          (as often as the driver likes)
    finish -----------------------------> the test goes on: its asserts, its teardown
                           ended <------- passed, failed, skipped
    leave ------------------------------> bye

The channel is owned by the driver's process; when it is gone the child ends at once. Standard library and pytest
only: what a child imports is part of what it measures.
"""
