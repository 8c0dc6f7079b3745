"""The supervised persistent worker pool.

::

    caller threads            parent process                       worker processes
    --------------            --------------                       ----------------
    run_batch  --batch-->  +--------------+   socket (frames)   +--------------------+
    submit     --future->  |  supervisor  | <-----------------> | main: runs tasks   |
    as_completed <-queue-- |  one thread  |   inbox  (memfd) -> | attendant: late    |
                           |              |   outbox (memfd) <- |  results, steals,  |
                           |              |   status (64 byte)< |  parent's death    |
                           +------+-------+   stack  (memfd) <- +--------------------+
                                  | control socket                       ^
                                  v                                      | fork
                           +--------------+                              |
                           |  fork server | -----------------------------+
                           +--------------+     (spawn: a fresh interpreter each)

No queue and no lock is shared between workers: each has its own socket and memory, so a death damages only its own.

Ownership: the supervisor owns every socket and anonymous file; workers hold copies. The fork server owns worker
processes as their parent; the supervisor alone decides who is started and killed.

Lifetime: nothing has a name in a file system. When the parent ends in any way its sockets close, the server kills its
workers and leaves, workers leave by themselves, and the memory goes with the last of them.
"""
