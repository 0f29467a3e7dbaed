"""One service in several processes, each with listening sockets of its own.

`messages` is what a supervisor and its workers say to each other, `worker` the
one side, `supervisor` the other. A worker's program itself, with its signals and
its log, belongs to the command line.
"""
