"""All decisions ever made: one immutable Parquet file per run, on any file system of pyarrow.

    start of a run   apart (a process of its own) -> location, read, trail -> entries for `earlier`
    end of a run     write: documents -> scrub -> schema -> <time>-<random>.parquet, renamed into place
    afterwards       read -> listing | trend, plot | export | the report of one decision

Ownership: a file belongs to nobody once it is renamed into place; nothing here changes or deletes one. Files
are data only: nothing in them is executed or unpickled, and every one states the version of its schema.
pyarrow is imported when it is used, never by loading this package, and never in a process that measures
before it has measured.
"""

from __future__ import annotations
