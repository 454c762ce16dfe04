"""The tree of errors: one class for each remedy, each with the exit code it ends a run with.

EvpipeError
├── UsageError       2  the command line asks for something impossible: correct the command
├── GraphError       2  the graph file is wrong: correct the lines named
├── NodeError        1  an operator raised: correct the operator or its parameters
├── InputError       3  a recording is missing, unreadable or damaged: get a whole one
├── CameraError      4  a camera is missing, lost or refused: connect it
├── RecorderError    5  a recorder could not write everything: free disk, slow down
└── WorkerError      6  a worker died or hung: see the report
"""


class EvpipeError(Exception):
    """Anything a person can act on. The text says what, where, the rule, the value found, what to do."""

    exit_code = 1


class UsageError(EvpipeError):
    """The command line cannot be carried out."""

    exit_code = 2


class GraphError(EvpipeError):
    """A graph file is wrong; the text holds every fault found, one paragraph each."""

    exit_code = 2


class NodeError(EvpipeError):
    """An operator failed while it ran."""

    exit_code = 1


class InputError(EvpipeError):
    """A recording is missing, unreadable or damaged. What was read before it stays valid and counted."""

    exit_code = 3


class CameraError(EvpipeError):
    """A camera is missing, was lost, or refused a setting."""

    exit_code = 4


class RecorderError(EvpipeError):
    """A recorder could not write everything it was given."""

    exit_code = 5


class WorkerError(EvpipeError):
    """A worker process died, hung or never became ready."""

    exit_code = 6


EXIT_DONE = 0
EXIT_SOME_FAILED = 7  # a batch ended, and some of its recordings failed or are damaged
EXIT_INTERRUPTED = 130
EXIT_KILLED = 137
EXIT_TERMINATED = 143
