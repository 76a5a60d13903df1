"""The exception tree of Ringwatch.

RingwatchError
|-- ConfigError            a setting that cannot work; raised at start-up only
|-- WireError              a message that does not mean anything
|   |-- SchemaError        a block that does not fit the Hello it names
|   `-- LayoutError        packed records of the wrong length or version
|-- SourceError            a source that could not be read this time
|   `-- SourceUnsupported  a source that this machine does not have
|-- SpoolError             the disk under the spool does not do its work
|-- StoreError             the database does not do its work
|-- VerbError              a verb that was not carried out
|   `-- VerbRefused        a verb that the policy or its arguments rule out
|-- RunbookError           a runbook that cannot be followed; says file and line
|-- EvidenceError          a file of evidence that cannot be read; says which and why
`-- UnreachableError       the other end of a connection is not there
"""


class RingwatchError(Exception):
    """Base of all errors that Ringwatch raises on purpose."""


class ConfigError(RingwatchError):
    """A setting cannot work. Raised at start-up only."""


class WireError(RingwatchError):
    """A message does not mean anything."""


class SchemaError(WireError):
    """A block does not fit the Hello it names."""


class LayoutError(WireError):
    """Packed records have the wrong length or version."""


class SourceError(RingwatchError):
    """A source could not be read this time."""


class SourceUnsupported(SourceError):
    """This machine does not have what the source reads."""


class SpoolError(RingwatchError):
    """The disk under the spool does not do its work."""


class StoreError(RingwatchError):
    """The database does not do its work."""


class VerbError(RingwatchError):
    """A verb was not carried out."""


class VerbRefused(VerbError):
    """The policy or the arguments rule the verb out."""


class RunbookError(RingwatchError):
    """A runbook cannot be followed; the message says file and line."""


class EvidenceError(RingwatchError):
    """A file of evidence cannot be read."""


class RecordingError(RingwatchError):
    """A recording cannot be read or written."""


class UnreachableError(RingwatchError):
    """The other end of a connection is not there."""
