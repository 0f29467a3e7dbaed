"""One service in several processes, each with listening sockets of its own.

`messages` has what a supervisor and its workers send to each other, `worker` the one
side, `supervisor` the other. The program of a worker, with its signals and its log,
belongs to the command line.
"""
