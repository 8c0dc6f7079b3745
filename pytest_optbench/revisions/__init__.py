"""Comparing two git revisions: the working tree against `REV`, process by process, in one run.

    worktree of REV -- build step -- the tests of the working tree laid over it --.
                                                                                 +-- pairs of children -- decisions
    working tree ---- build step --------------------------------------------------'

Who knows what: `git` asks git, `worktree` owns the checkout (made here, removed here, whatever happens),
`overlay` copies tests, `reroot` runs inside the children (standard library only), `identity` and `sameness`
judge what the children imported, `suite_run` measures and decides, `hooks` is the part pytest sees, `summary`
writes what a pull-request comment needs.
"""
