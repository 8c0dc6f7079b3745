"""Whole commands: two programs run in turn, side by side, and judged like two callables.

    optbench run ──JSON lines──> spawner (a small Python) ──posix_spawn──> the command, in a process group of its own
       looks, decides, writes        reads the clocks, adopts orphans           stdin /dev/null, output to files

The spawner exists because Linux charges a new process with the memory of whoever started it: started from here, every
command would seem to need what numpy and scipy do. That is also why this file imports nothing. It outlives nobody:
when its standard input closes, whatever ended this process, it ends the command, all it started (also what left its
group or session), and itself.
"""
